/* Which of what was said of a name is to be seen there. Pure; any thread. */
#include "dag/tree/shown.h"

/* (stamp, pen) order all dots; what is aside comes below what is not. */
static bool is_greater(const struct manifest_value *a, const struct manifest_value *b)
{
	bool a_aside = a->flags & MANIFEST_ASIDE, b_aside = b->flags & MANIFEST_ASIDE;

	if (a_aside != b_aside)
		return b_aside;
	return a->stamp != b->stamp ? a->stamp > b->stamp : a->pen > b->pen;
}

static const struct manifest_value *greatest_value(const struct manifest_entry *entry)
{
	const struct manifest_value *best = NULL;

	for (size_t i = 0; i < entry->value_count; i++)
		if (!best || is_greater(&entry->values[i], best))
			best = &entry->values[i];
	return best;
}

static const struct manifest_meta *greatest_meta(const struct manifest_entry *entry)
{
	const struct manifest_meta *best = NULL;

	for (size_t i = 0; i < entry->meta_count; i++) {
		const struct manifest_meta *meta = &entry->metas[i];

		if (!best || meta->stamp > best->stamp ||
		    (meta->stamp == best->stamp && meta->pen > best->pen))
			best = meta;
	}
	return best;
}

/* The dot of greatest (stamp, pen) tells the id. */
static void show_dir(const struct manifest_entry *entry, struct shown *out)
{
	const struct manifest_dot *best = NULL;

	for (size_t i = 0; i < entry->dir.dot_count; i++) {
		const struct manifest_dot *dot = &entry->dir.dots[i];

		if (!best || dot->stamp > best->stamp ||
		    (dot->stamp == best->stamp && dot->pen > best->pen))
			best = dot;
	}
	out->mode = S_IFDIR | SHOWN_DIR_MODE;
	if (best) {
		out->id = best->id;
		out->stamp = best->stamp;
	}
	if (!out->id) /* only what is below keeps it */
		out->id = (manifest_hash(entry->name) >> 1) | 1;
	if (!out->meta)
		return;
	out->mode = S_IFDIR | (out->meta->mode & 07777);
	out->mtime.tv_sec = (time_t)out->meta->mtime;
	out->mtime.tv_nsec = out->meta->mtime_nanos;
	out->stamp = out->meta->stamp > out->stamp ? out->meta->stamp : out->stamp;
}

static void show_value(const struct manifest_value *value, struct shown *out)
{
	out->value = value;
	out->id = value->id;
	out->size = value->size;
	out->stamp = value->stamp;
	out->mtime.tv_sec = (time_t)value->mtime;
	out->mtime.tv_nsec = value->mtime_nanos;
	if (value->flags & MANIFEST_SYMLINK) {
		out->mode = S_IFLNK | 0777;
		return;
	}
	out->mode = S_IFREG | (out->meta ? out->meta->mode & 07777 : SHOWN_FILE_MODE);
	if (out->meta && out->meta->stamp > out->stamp)
		out->stamp = out->meta->stamp;
}

bool shown_entry(const struct manifest_entry *entry, struct shown *out)
{
	const struct manifest_value *value = greatest_value(entry);

	*out = (struct shown){ .meta = greatest_meta(entry) };
	if (entry->has_dir && (entry->dir.dot_count || cid_is_set(&entry->dir.link)))
		show_dir(entry, out);
	else if (value)
		show_value(value, out);
	else
		return false;
	return true;
}
