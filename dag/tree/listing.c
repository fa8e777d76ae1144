/* Listings: what memory knows of a directory's names laid over what the base says, both in the
 * order of (hash, name). A position is 54 bits of the hash and a count of those that have the same
 * ones. Names are taken one by one, with the lock; they are told without it. */
#include "dag/tree/tree_private.h"

#define COUNT_BITS 8
#define COUNT_MAX ((1u << COUNT_BITS) - 1)
#define HASH_SHIFT 10 /* bits of the hash that a position has not */

struct listing {
	struct tree *tree;
	struct node *dir;
	bool attrs;
	struct wait *wait;
	/* The last name that was taken. */
	uint64_t hash;
	uint8_t name[TREE_NAME_MAX];
	size_t name_len;
	bool begun;
	/* The base, and what is next there. */
	struct cid base;
	struct base_iter *iter;
	const struct manifest_entry *said; /* NULL: the end */
	bool stale;			   /* it was taken: the next is to be read */
};

static struct bytes last_name(const struct listing *l)
{
	return bytes_of(l->name, l->name_len);
}

static bool is_behind(const struct listing *l, uint64_t hash, struct bytes name)
{
	return !l->begun || manifest_order(hash, name, l->hash, last_name(l)) > 0;
}

/* Without the lock: moves on in the base, behind the last name. */
static int read_base(struct listing *l)
{
	int got = 1;

	if (!l->iter)
		l->iter = base_iter_new(&l->tree->reader, &l->base, l->hash, last_name(l));
	l->said = NULL;
	while ((got = base_iter_next(l->iter, l->wait, &l->said)) > 0) {
		struct shown shown;

		if (is_behind(l, manifest_hash(l->said->name), l->said->name) &&
		    shown_entry(l->said, &shown))
			break;
	}
	if (got <= 0)
		l->said = NULL;
	return got < 0 ? got : 0;
}

/* With the lock: the base is another one now. */
static bool base_moved(struct listing *l)
{
	if (cid_equal(&l->base, &l->dir->base))
		return false;
	l->base = l->dir->base;
	base_iter_free(l->iter);
	l->iter = NULL;
	l->said = NULL;
	return true;
}

static void take_name(struct listing *l, uint64_t hash, struct bytes name)
{
	l->hash = hash;
	l->name_len = name.len;
	memcpy(l->name, name.at, name.len);
	l->begun = true;
}

static struct entry *next_entry(const struct listing *l)
{
	struct entry *entry = entry_from(l->dir, l->hash, last_name(l));

	while (entry && !is_behind(l, entry->hash, entry_name(entry)))
		entry = entry_next(entry);
	return entry;
}

static void tell_node(const struct listing *l, struct node *node, struct tree_item *item)
{
	item->id = node->id;
	item->type = node->mode & S_IFMT;
	if (!l->attrs)
		return;
	node->known++;
	node_attr(node, &item->attr);
}

/* With the lock: takes the next name of both. 1: *item tells of it; 0: it is gone; -ENOENT: the
 * end. */
static int listing_take(struct listing *l, struct tree_item *item)
{
	struct entry *entry = next_entry(l);
	const struct manifest_entry *said = l->said;
	uint64_t hash = said ? manifest_hash(said->name) : 0;
	int order = !entry  ? 1
		    : !said ? -1
			    : manifest_order(entry->hash, entry_name(entry), hash, said->name);

	if (!entry && !said)
		return -ENOENT;
	l->stale = order >= 0;
	if (order <= 0) {
		take_name(l, entry->hash, entry_name(entry));
		if (entry->node)
			tell_node(l, entry->node, item);
		return entry->node != NULL;
	}
	struct shown shown;

	take_name(l, hash, said->name);
	shown_entry(said, &shown);
	if (l->attrs) {
		tell_node(l, base_enter(l->dir, said, &shown)->node, item);
	} else {
		item->id = shown.id;
		item->type = shown.mode & S_IFMT;
	}
	return 1;
}

/* 1: *item; 0: the end; -errno. */
static int next_item(struct listing *l, struct tree_item *item)
{
	int got = 0;

	while (!got) {
		int err = l->stale ? read_base(l) : 0;

		if (err)
			return err;
		l->stale = false;
		tree_lock(l->tree);
		if (base_moved(l))
			l->stale = cid_is_set(&l->base);
		else
			got = listing_take(l, item);
		tree_unlock(l->tree);
	}
	return got < 0 ? 0 : 1;
}

static int listing_list(struct listing *l, uint64_t from, tree_item_fn *each, void *ctx)
{
	uint64_t prefix = from >> COUNT_BITS;
	unsigned skip = from & COUNT_MAX, count = 0;
	struct tree_item item = { 0 };
	int got;

	l->hash = prefix << HASH_SHIFT;
	while ((got = next_item(l, &item)) > 0) {
		uint64_t of = l->hash >> HASH_SHIFT;

		if (of != prefix)
			count = 0;
		prefix = of;
		count++;
		if (of == from >> COUNT_BITS && count <= skip) {
			if (l->attrs)
				tree_forget(l->tree, item.attr.node, 1);
			continue;
		}
		item.name = last_name(l);
		item.next = count <= COUNT_MAX ? of << COUNT_BITS | count : (of + 1) << COUNT_BITS;
		if (each(ctx, &item))
			break;
	}
	return got < 0 ? got : 0;
}

int tree_list(struct tree *tree, uint64_t number, uint64_t from, bool attrs, struct wait *wait,
	      tree_item_fn *each, void *ctx)
{
	struct listing listing = { .tree = tree, .attrs = attrs, .wait = wait };

	tree_lock(tree);
	int err = node_dir(tree, number, &listing.dir);

	if (!err)
		node_ref(listing.dir);
	tree_unlock(tree);
	if (err)
		return err;
	err = listing_list(&listing, from, each, ctx);
	base_iter_free(listing.iter);
	tree_lock(tree);
	node_unref(listing.dir);
	tree_unlock(tree);
	return err;
}
