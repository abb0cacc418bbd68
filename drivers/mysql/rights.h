#ifndef CF_DRIVERS_MYSQL_RIGHTS_H
#define CF_DRIVERS_MYSQL_RIGHTS_H

/*
 * What the server hides from this user without a word: triggers without the right TRIGGER, and
 * routines without any right on them.
 */

#include <stdbool.h>

struct cf_err;
struct cf_mysql;

struct cf_mysql_rights {
	bool sees_triggers, sees_routines;
};

/* Of all that is in a database. Rights on single tables or routines do not count. */
int cf_mysql_rights_on(struct cf_mysql *my, const char *database,
		       struct cf_mysql_rights *rights_out, struct cf_err *err);

#endif
