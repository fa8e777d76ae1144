/* mount.dagfs: what mount(8) passes becomes a `dagfs mount`. It runs without PATH and HOME, as
 * root, at boot; setuid=USER gives it a user's. */
#include "fs/mount_helper.h"

#include "fs/cli.h"
#include "net/base/alloc.h"

#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNT_USAGE 1
#define MOUNT_FAILED 32
#define WORDS_MAX 16

struct helper {
	const char *source, *point;
	char *repo, *user;
	struct buf options; /* for the mount, with commas between */
	bool offline, fake;
};

bool mount_helper_is(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	if (argc && !strcmp(slash ? slash + 1 : argv[0], "mount.dagfs"))
		return true;
	/* mount.fuse3 has its own order of words; no command has. */
	return argc == 5 && argv[2][0] == '/' && !strcmp(argv[3], "-o") && !cli_command(argv[1]) &&
	       !cli_is_group(argv[1]);
}

/* Words of mount(8), fstab and systemd that are no option of a mount, or ask for what is the
 * default. A name that ends with '=' has a value; one that ends with '.' begins so. */
static bool is_for_others(const char *option)
{
	static const char *const words[] = {
		"rw",	      "defaults", "auto",     "noauto",	    "user",	   "nouser",
		"users",      "owner",	  "group",    "nofail",	    "_netdev",	   "exec",
		"suid",	      "dev",	  "async",    "loud",	    "silent",	   "mand",
		"nomand",     "iversion", "relatime", "norelatime", "strictatime", "lazytime",
		"nolazytime", "user=",	  "uid=",     "gid=",	    "comment=",	   "x-",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i]);
		bool begins = words[i][len - 1] == '=' || words[i][len - 1] == '-';

		if (begins ? !strncmp(option, words[i], len) : !strcmp(option, words[i]))
			return true;
	}
	return false;
}

static void take_option(struct helper *helper, const char *option)
{
	if (!strncmp(option, "repo=", 5)) {
		free(helper->repo);
		helper->repo = xstrdup(option + 5);
	} else if (!strncmp(option, "setuid=", 7)) {
		free(helper->user);
		helper->user = xstrdup(option + 7);
	} else if (!strcmp(option, "offline")) {
		helper->offline = true;
	} else if (*option && !is_for_others(option)) {
		if (helper->options.len)
			buf_add_u8(&helper->options, ',');
		buf_add_str(&helper->options, option);
	}
}

static void take_list(struct helper *helper, const char *list)
{
	char *copy = xstrdup(list), *rest = copy, *option;

	while ((option = strsep(&rest, ",")))
		take_option(helper, option);
	free(copy);
}

/* False: it is no such call. */
static bool take_words(struct helper *helper, int argc, char **argv)
{
	int letter;

	opterr = 0;
	while ((letter = getopt(argc, argv, "sfnvrwN:o:t:")) >= 0) {
		switch (letter) {
		case 'o':
			take_list(helper, optarg);
			break;
		case 'f': /* mount(8)'s --fake */
			helper->fake = true;
			break;
		case 'r':
			take_option(helper, "ro");
			break;
		case 's': /* sloppy: what is not known is refused all the same */
		case 'n': /* no mtab to be written */
		case 'v':
		case 'w':
		case 't':
			break;
		default: /* -N: mount(8) changes the namespace itself */
			return letter == 'N';
		}
	}
	if (argc - optind != 2)
		return false;
	helper->source = argv[optind];
	helper->point = argv[optind + 1];
	return true;
}

/* As USER, with its home. False: told. */
static bool become(const char *user)
{
	const struct passwd *entry = getpwnam(user);

	if (!entry) {
		fprintf(stderr, "mount.dagfs: there is no user %s (setuid=)\n", user);
		return false;
	}
	if (initgroups(entry->pw_name, entry->pw_gid) || setgid(entry->pw_gid) ||
	    setuid(entry->pw_uid)) {
		fprintf(stderr, "mount.dagfs: cannot become %s (setuid=): %m\n", user);
		return false;
	}
	setenv("HOME", entry->pw_dir, 1);
	setenv("USER", entry->pw_name, 1);
	return true;
}

/* What mount(8) does not pass. */
static void complete_environment(void)
{
	const struct passwd *entry;

	if (!getenv("PATH"))
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	entry = getenv("HOME") ? NULL : getpwuid(getuid());
	if (entry)
		setenv("HOME", entry->pw_dir, 1);
}

static int mount_it(struct helper *helper)
{
	bool namespace = !strcmp(helper->source, "none") || !strcmp(helper->source, "dagfs");
	const char *words[WORDS_MAX];
	int count = 0;

	if (helper->repo) {
		words[count++] = "--repo";
		words[count++] = helper->repo;
	}
	if (helper->offline)
		words[count++] = "--offline";
	words[count++] = "mount";
	if (helper->options.len) {
		buf_add_u8(&helper->options, 0);
		words[count++] = "-o";
		words[count++] = (const char *)helper->options.at;
	}
	words[count++] = "--";
	if (!namespace)
		words[count++] = helper->source;
	words[count++] = helper->point;
	return cli_run(count, (char **)words) ? MOUNT_FAILED : 0;
}

int mount_helper_run(int argc, char **argv)
{
	struct helper helper = { 0 };
	int code = MOUNT_FAILED;

	if (!take_words(&helper, argc, argv)) {
		fprintf(stderr, "usage: mount.dagfs SOURCE DIR [-o OPTIONS]\n"
				"It is called by mount -t dagfs; by hand, use `dagfs mount`.\n");
		code = MOUNT_USAGE;
	} else if (helper.fake) {
		code = 0;
	} else if (!helper.user || become(helper.user)) {
		complete_environment();
		code = mount_it(&helper);
	}
	free(helper.repo);
	free(helper.user);
	buf_release(&helper.options);
	return code;
}
