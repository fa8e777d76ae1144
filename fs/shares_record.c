/* Shares as records: found by what people write, made with a key of their own, published. Blocking;
 * any thread. */
#include "fs/shares.h"

#include "dag/share.h"
#include "fs/keystore.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/random.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IPNS "/ipns/"
#define NONCE_LEN 16
#define LOGIN_ROOM 4096 /* of what getpwuid_r() writes */

/* ---- finding ---- */

struct key_search {
	const struct peer_id *key;
	struct share_record *out;
};

static int match_key(void *ctx, const struct share_record *record)
{
	struct key_search *search = ctx;

	if (!peer_id_equal(&record->key, search->key))
		return 0;
	*search->out = *record;
	return 1;
}

static int find_by_key(struct repo *repo, struct db *work, const char *text,
		       struct share_record *out)
{
	struct private_key *private = NULL;
	struct peer_id key;
	struct key_search search = { &key, out };
	int err = 0;

	if (peer_id_from_text(&key, text)) {
		err = keystore_name_check(text) ? -ENOENT
						: keystore_get(repo->path, text, &private);
		if (!err)
			peer_id_of_key(&key, private_key_public(private));
		private_key_free(private);
	}
	if (err)
		return -ENOENT;
	err = share_each(work, match_key, &search);
	return err == 1 ? 0 : err ? err : -ENOENT;
}

int shares_find(struct repo *repo, const char *text, struct share_record *out)
{
	struct db *work;
	int err = repo_work(repo, false, &work);

	if (strncmp(text, IPNS, strlen(IPNS)) == 0)
		text += strlen(IPNS);
	if (!err)
		err = share_find(work, text, out);
	if (err != -ENOENT || !work)
		return err;
	return find_by_key(repo, work, text, out);
}

static int take_newest(void *ctx, const struct tree_version *version)
{
	*(struct tree_version *)ctx = *version;
	return 0;
}

int shares_newest(struct repo *repo, uint32_t id, struct tree_version *out)
{
	struct db *work;
	int err = repo_work(repo, false, &work);

	*out = (struct tree_version){ 0 };
	return err ? err : share_each_version(work, id, take_newest, out);
}

/* ---- settings ----
 *
 * Table "quiet": share -> milliseconds, both as text. */

static struct bytes quiet_key(uint32_t id, char text[static 16])
{
	snprintf(text, 16, "%" PRIu32, id);
	return bytes_str(text);
}

uint64_t shares_quiet_ms(struct db *work, uint32_t id)
{
	char key[16], number[24];
	struct db_txn *txn;
	struct bytes value;
	uint64_t ms = 0;

	if (db_begin(work, false, &txn))
		return 0;
	if (db_get(txn, "quiet", quiet_key(id, key), &value) == 0 && value.len < sizeof(number)) {
		memcpy(number, value.at, value.len);
		number[value.len] = 0;
		ms = strtoull(number, NULL, 10);
	}
	db_abort(txn);
	return ms;
}

int shares_quiet_set(struct db *work, uint32_t id, uint64_t ms)
{
	char key[16], number[24];
	struct db_txn *txn;
	int err = db_begin(work, true, &txn);

	if (err)
		return err;
	snprintf(number, sizeof(number), "%" PRIu64, ms);
	err = ms ? db_put(txn, "quiet", quiet_key(id, key), bytes_str(number))
		 : db_del(txn, "quiet", quiet_key(id, key));
	if (!err || err == -ENOENT)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* ---- making ---- */

/* The login name's letters and digits. */
static void default_label(char out[static SHARE_LABEL_MAX + 1])
{
	char room[LOGIN_ROOM];
	struct passwd entry, *found = NULL;
	const char *login = "";
	size_t len = 0;

	if (getpwuid_r(getuid(), &entry, room, sizeof(room), &found) == 0 && found)
		login = found->pw_name;
	for (; *login && len < SHARE_LABEL_MAX; login++) {
		char c = *login >= 'A' && *login <= 'Z' ? (char)(*login - 'A' + 'a') : *login;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[len++] = c;
	}
	out[len] = 0;
	if (!len)
		strcpy(out, "me");
}

static int count_share(void *ctx, const struct share_record *record)
{
	(void)record;
	++*(size_t *)ctx;
	return 0;
}

static uint64_t new_pen(const uint8_t key[static WRITER_KEY_LEN])
{
	struct random random = random_system();
	uint8_t nonce[NONCE_LEN];

	random_fill(&random, nonce, sizeof(nonce));
	return pen_id(key, bytes_of(nonce, sizeof(nonce)));
}

/* The key comes first: a record without its key could never be written to. */
static int make_with_key(struct repo *repo, struct db *work, struct share_record *record)
{
	uint8_t raw[WRITER_KEY_LEN];
	struct private_key *key;
	int err;

	key = private_key_new(KEY_ED25519, 0, &err);
	if (!key)
		return err;
	err = writer_key(private_key_public(key), raw);
	if (!err)
		err = keystore_put(repo->path, record->name, key);
	if (err == -EEXIST)
		err = -EKEYREJECTED;
	else if (!err) {
		peer_id_of_key(&record->key, private_key_public(key));
		record->owner = true;
		record->pen = new_pen(raw);
		err = share_add(work, record);
		if (err)
			keystore_rm(repo->path, record->name);
	}
	private_key_free(key);
	return err;
}

int shares_make(struct repo *repo, struct share_record *record)
{
	struct share_record other;
	size_t count = 0;
	struct db *work;
	int err;

	if (!record->label[0])
		default_label(record->label);
	if (!pen_label_allowed(record->label) || keystore_name_check(record->name) ||
	    strcmp(record->name, KEY_SELF) == 0)
		return -EINVAL;
	err = repo_work(repo, true, &work);
	if (!err)
		err = share_each(work, count_share, &count);
	if (err)
		return err;
	if (count >= SHARES_MAX)
		return -EMFILE;
	if (share_find(work, record->name, &other) == 0)
		return -EEXIST;
	return make_with_key(repo, work, record);
}
