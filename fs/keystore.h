/* The keys of names, beside the repository's own identity: one file for each below keystore/, named
 * key_BASE32(name) and holding the PrivateKey protobuf, as Kubo has them. Blocking; any thread; any
 * number of processes. */
#ifndef FS_KEYSTORE_H
#define FS_KEYSTORE_H

#include "net/wire/private_key.h"

#define KEY_NAME_MAX 154 /* bytes: its base32 fits a file name */
#define KEY_SELF "self"	 /* the repository's identity; never a file here */

/* Keys as they stand in a list: sorted by name. */
struct keystore_entry {
	char *name;
	struct public_key public;
	int err; /* the file cannot be read, or holds no key; public is not set then */
};

/* Whether a key may be named so: 0; -EINVAL empty; -ENAMETOOLONG. */
int keystore_name_check(const char *name);
/* All but KEY_SELF. *out and its names are malloc'd: keystore_list_free(). 0 or -errno. */
int keystore_list(const char *repo_path, struct keystore_entry **out, size_t *count);
void keystore_list_free(struct keystore_entry *entries, size_t count);
/* -ENOENT there is none; -EBADMSG or -ENOTSUP the file holds no key that we read; -errno. */
int keystore_get(const char *repo_path, const char *name, struct private_key **out);
/* On disk when it returns 0, as put_file(). -EEXIST. */
int keystore_put(const char *repo_path, const char *name, const struct private_key *key);
/* force: in the place of a key that is named so; *replaced tells whether there was one. -ENOENT;
 * -EEXIST. */
int keystore_rename(const char *repo_path, const char *from, const char *to, bool force,
		    bool *replaced);
int keystore_rm(const char *repo_path, const char *name); /* -ENOENT */

/* The key with this id, the repository's own identity included. -ENOENT; -errno. */
int keystore_find(const char *repo_path, const struct identity *self, const struct peer_id *id,
		  struct private_key **out);
/* The identity as a key. NULL when memory is lacking. */
struct private_key *keystore_self(const struct identity *self);

#endif
