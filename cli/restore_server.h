#ifndef CF_CLI_RESTORE_SERVER_H
#define CF_CLI_RESTORE_SERVER_H

/* coffer restore --to URL: a snapshot of a database goes back into a server. */

struct cf_cli;
struct cf_driver;
struct cf_err;

/* driver and rest: of the --to given, as cf_database_target() splits it. */
int cf_restore_to_server(struct cf_cli *cli, const struct cf_driver *driver, const char *rest,
			 struct cf_err *err);

/* CF_ERR_USAGE naming the first option given that makes no sense with a folder. */
int cf_restore_check_folder_options(const struct cf_cli *cli, struct cf_err *err);

#endif
