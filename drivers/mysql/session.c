#include "drivers/mysql/session.h"

#include "base/err.h"
#include "drivers/mysql/client.h"

#include <stdlib.h>
#include <string.h>

/*
 * Each has its value written out: DEFAULT would be the server's own. Comments hold what servers
 * know from a version on. A session waits for others a year, which is the longest, for it may hold
 * a snapshot: where its client has died, the server learns that from the connection.
 */
static const char settings[] =
	"SET NAMES utf8mb4,"
	" sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',"
	" lc_time_names = 'en_US',"
	/* How many rows there are. */
	" sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615,"
	" sql_big_selects = 1, sql_safe_updates = 0, sql_auto_is_null = 0, sql_buffer_result = 0,"
	/* What a value is, and in which order they come. */
	" group_concat_max_len = 1048576, max_sort_length = 1024,"
	" div_precision_increment = 4, default_week_format = 0, sql_quote_show_create = 1,"
	/* What is said of a statement. */
	" sql_notes = 0, sql_warnings = 0, max_error_count = 64,"
	/* When a change is made, and when a session is given up. */
	" autocommit = 1, completion_type = NO_CHAIN, low_priority_updates = 0,"
	" wait_timeout = 31536000, net_read_timeout = 31536000, net_write_timeout = 31536000,"
	" lock_wait_timeout = 60, innodb_lock_wait_timeout = 600"
	/* A restricted one in MySQL. */
	" /*M! , character_set_filesystem = binary */"
	" /*M! , max_statement_time = 0, old_mode = '', default_regex_flags = '' */"
	" /*M!100300 , idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0,"
	" idle_write_transaction_timeout = 0, system_versioning_asof = DEFAULT */"
	" /*M!100307 , alter_algorithm = 'DEFAULT' */"
	" /*M!100502 , sql_if_exists = 0 */"
	/* utf8 of an older server's definition. */
	" /*M!100601 , old_mode = 'UTF8_IS_UTF8MB3' */"
	" /*M!110200 , character_set_collations = '' */"
	" /*!80000 , max_execution_time = 0, information_schema_stats_expiry = 0,"
	" show_create_table_verbosity = 0 */"
	/* A key that the server made is as much a column as others. */
	" /*!80030 , show_gipk_in_create_table_and_information_schema = 1 */";

/* Something between us and the server may keep settings to itself. */
static int check(struct cf_mysql *my, struct cf_err *err)
{
	char *obeyed = NULL;
	int rc = cf_mysql_value(
		my,
		"SELECT @@session.sql_select_limit = 18446744073709551615 AND "
		"@@session.time_zone = '+00:00' AND "
		"@@session.sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
		&obeyed, err);

	if (rc == 0 && (!obeyed || strcmp(obeyed, "1") != 0))
		rc = cf_err_set(err, CF_ERR_FAILED,
				"%s: the session does not take its settings (sql_select_limit, "
				"time_zone, sql_mode): does a proxy keep them back?",
				cf_mysql_server_name(my));
	free(obeyed);
	return rc;
}

int cf_mysql_session_prepare(struct cf_mysql *my, struct cf_err *err)
{
	int rc = cf_mysql_run(my, settings, err);

	if (rc == 0)
		rc = cf_mysql_run(
			my, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
			err);
	return rc == 0 ? check(my, err) : rc;
}
