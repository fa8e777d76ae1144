/* English phrases for errno values. Some numbers mean something particular in this project and
 * get a phrase of ours; the C library has the rest. Pure; any thread. */
#include "net/base/err.h"

#include "net/base/alloc.h"

#include <string.h>

/* Only what this project means something particular by; the rest is the C library's phrase. */
static const struct {
	int number;
	const char *text;
} phrases[] = {
	{ 0, "no error" },
	{ EBADMSG, "malformed data" },
	{ EPROTO, "protocol violation" },
	{ ENOENT, "not found" },
	{ EAGAIN, "too much at once, try again later" },
	{ ETIMEDOUT, "no answer in time" },
	{ ECANCELED, "given up" },
	{ EINTR, "interrupted" },
	{ EIO, "store error or corrupt data" },
	{ ENOSPC, "no space left in the store" },
	{ EHOSTUNREACH, "not stored here and no peer to ask" },
	{ ESHUTDOWN, "the daemon has ended: it was shut down, or killed" },
	{ ENETUNREACH, "offline and not stored here" },
	{ EKEYREJECTED, "signature or identity does not match" },
	{ EMSGSIZE, "larger than allowed" },
	{ ENOTSUP, "not supported" },
	{ ENOMEM, "not enough memory or address space (`ulimit -v`)" },
	{ EINVAL, "invalid value" },
	{ EEXIST, "exists already" },
};

/* Wider than int, so that INT_MIN can be negated. */
static long long number_of(int err)
{
	return err < 0 ? -(long long)err : err;
}

const char *err_text(int err)
{
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		if (phrases[i].number == number_of(err))
			return phrases[i].text;
	}
	return err_file_text(err);
}

const char *err_file_text(int err)
{
	long long number = number_of(err);
	/* strerrordesc_np() is static and thread-safe, unlike strerror(). */
	const char *text = number <= 4096 ? strerrordesc_np((int)number) : NULL;

	return text ? text : "unknown error";
}
