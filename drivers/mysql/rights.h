#ifndef CF_DRIVERS_MYSQL_RIGHTS_H
#define CF_DRIVERS_MYSQL_RIGHTS_H

/*
 * What the server hides from this user without a word: triggers without the right TRIGGER,
 * routines without any right on them, and databases without a right on them or on all.
 */

#include <stdbool.h>

struct cf_err;
struct cf_mysql;

struct cf_mysql_rights {
	bool sees_triggers, sees_routines;
	bool sees_databases; /* all that there are */
};

/* Of all that is in a database. Rights on single tables or routines do not count. */
int cf_mysql_rights_on(struct cf_mysql *my, const char *database,
		       struct cf_mysql_rights *rights_out, struct cf_err *err);

#endif
