#ifndef CF_DRIVERS_MYSQL_SCRATCH_H
#define CF_DRIVERS_MYSQL_SCRATCH_H

/*
 * A MariaDB server of our own, for as long as something is tried out: in a temporary folder
 * (drivers/scratch_folder.h), reached by a socket in it, with settings for speed and none for
 * safety. It is gone with the folder when it is stopped, and the server ends with this process
 * whatever that dies of.
 */

#include "drivers/scratch_folder.h"

struct cf_ctx;
struct cf_err;

struct cf_mysql_scratch {
	struct cf_scratch_folder folder;
	char *url; /* as behind "mysql:", with all rights */
	pid_t pid; /* 0: none runs */
};

/* clang-format off */
#define CF_MYSQL_SCRATCH_INIT { .folder = CF_SCRATCH_FOLDER_INIT }
/* clang-format on */

/* CF_ERR_NOT_FOUND when there is no mariadbd or mariadb-install-db. Stop it also after a failure.
 */
int cf_mysql_scratch_start(struct cf_mysql_scratch *scratch, unsigned lower_case_table_names,
			   const struct cf_verify_options *options, const struct cf_ctx *ctx,
			   struct cf_err *err);
void cf_mysql_scratch_stop(struct cf_mysql_scratch *scratch);

#endif
