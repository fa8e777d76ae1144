/* What the arguments of `add` are called. Private to cmd_add. The command's thread only. */
#ifndef FS_CMD_ADD_NAMES_H
#define FS_CMD_ADD_NAMES_H

#include "fs/cli.h"

/* What a path is called: its last part; of "." and ".." that of the directory meant. malloc'd; NULL
 * when there is none. */
char *add_name(const char *path);

/* For all arguments in one directory, before anything is added: as Kubo, two different files of one
 * name are refused (an exit code, with a message told), and a file that is given twice is taken out
 * of in->argv once. */
int add_names_check(struct invocation *in);

#endif
