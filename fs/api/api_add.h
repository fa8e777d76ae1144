/* What the parts of `add` share. Private to the api_add files. The thread that runs the call. */
#ifndef FS_API_API_ADD_H
#define FS_API_API_ADD_H

#include "fs/api/api.h"

/* One thing to be added: the word, and where it stands among the words (for api_input()). */
struct add_word {
	const char *path;
	size_t at;
};

struct add {
	struct api_call *call;
	json_t *args; /* with what the configuration says where the call does not */
	struct import_config config;
	struct ignore *ignore;
	struct blocks *blocks;
	struct add_word *words;
	size_t word_count;
	bool shows; /* progress of what is being added */
	struct api_progress progress;
	struct dir_builder *wrapper; /* NULL: each argument stands by itself */
	struct cid last;
	json_t *items;	     /* not yet told */
	size_t weight;	     /* bytes of lines that items make, about */
	size_t weight_tried; /* of those, when the disk last failed */
	char *why;	     /* the whole message of the error that ends the call */
};

extern const struct option_spec add_options[]; /* ended by a NULL name */

/* Keeps the message of an error and returns the error. add_fail() puts err's text behind it. */
int add_refuse(struct add *add, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int add_fail(struct add *add, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The import as profile, configuration and options have it. 0; API_USAGE or -errno, with the
 * message kept. */
int add_configure(struct add *add);

/* What a path is called: its last part; of "." and ".." that of the directory meant. malloc'd; NULL
 * when there is none. */
char *add_name(const char *path);
/* For all words in one directory, before anything is added: as Kubo, two different files of one
 * name are refused, and a file that is given twice is taken out of the words once. 0; -EEXIST, with
 * the message kept. */
int add_names_check(struct add *add);

#endif
