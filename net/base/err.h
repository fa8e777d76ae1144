/* Errors are int: 0 or a negative errno. Fixed meanings in this project:
 *   -EBADMSG      malformed bytes             -EPROTO       legal bytes at a wrong moment
 *   -ENOENT       proven absent               -EAGAIN       a limit is reached, try later
 *   -ETIMEDOUT    no answer by the deadline   -ECANCELED    given up by our own side
 *   -EINTR        the waiting user gave up    -EIO          store or corrupt data
 *   -ENOSPC       store full                  -EHOSTUNREACH not stored and no peer to ask (offline)
 *   -ESHUTDOWN    our own daemon has ended
 *   -EKEYREJECTED a signature or identity that does not match
 */
#ifndef NET_BASE_ERR_H
#define NET_BASE_ERR_H

#include <errno.h>

/* One phrase in English for err (negative or positive errno), for messages to people. Static. */
const char *err_text(int err);

/* The C library's phrase, for errors of files that are not the store. Static. */
const char *err_file_text(int err);

#endif
