#ifndef CF_DRIVERS_FILES_RESTORE_STATE_H
#define CF_DRIVERS_FILES_RESTORE_STATE_H

/* What the parts of the restore sink share. */

#include "drivers/files/restore.h"
#include "drivers/files/restore_attrs.h"
#include "drivers/files/target.h"

#include <pthread.h>
#include <stdatomic.h>

struct cf_restore_file;

struct cf_restore_state {
	struct cf_sink sink;
	struct cf_restore_options options;
	struct cf_restore_attrs_as as;
	struct cf_target target;
	bool made_folder;
	uint64_t token; /* random: makes temporary names that no restored entry has */
	atomic_uint_least64_t n_temporary;
	atomic_bool can_write_uncached; /* until a file system refuses */
	pthread_mutex_t lock;	       /* of `files` */
	struct cf_restore_file *files; /* those that are open */
};

struct cf_restore_temporary {
	char s[48];
};

/* A name that no other call gives. */
struct cf_restore_temporary cf_restore_temporary_make(struct cf_restore_state *r);

/* Names come from storage: this is the first thing every operation does. CF_ERR_DAMAGED. */
int cf_restore_name_check(const struct cf_restore_state *r, const struct cf_target_dir *dir,
			  const struct cf_entry *entry, struct cf_err *err);

/* A component of the path that no Linux file system takes. */
bool cf_restore_name_too_long(const char *path);

/* True for an entry that is left out: its name is too long, which is a warning, or its directory is
 * left out already. */
bool cf_restore_skips(const struct cf_restore_state *r, const struct cf_target_dir *dir,
		      const struct cf_entry *entry);

#endif
