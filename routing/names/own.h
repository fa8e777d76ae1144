/* Records of names in the db, between the files of this room. */
#ifndef ROUTING_NAMES_OWN_H
#define ROUTING_NAMES_OWN_H

#include "net/base/bytes.h"
#include "net/wire/key.h"

struct db;
struct name_own;

/* The record that own holds was taken by the network. Loop thread: posted. */
void name_own_told(struct db *db, const struct name_own *own, uint64_t now_ms);
/* Keeps a checked record of a name, our own or a followed one. Loop thread: posted. */
void name_seen(struct db *db, const struct peer_id *name, struct bytes record);

#endif
