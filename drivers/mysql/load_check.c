/* What a restore leaves for somebody to put right, told as warnings. */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool cf_mysql_load_forgives(const struct cf_mysql_load *load, const struct cf_mysql *my, int rc)
{
	return load->options->keep_going && rc != CF_ERR_CANCELED && rc != CF_ERR_NOMEM &&
	       !cf_mysql_is_broken(my);
}

int cf_mysql_load_forgive(const struct cf_mysql_load *load, const struct cf_mysql *my,
			  const char *object, int rc, struct cf_err *err)
{
	if (rc == 0 || !cf_mysql_load_forgives(load, my, rc))
		return rc;
	cf_ctx_warn(load->ctx, "restore.failed", object, "left out: %s", err ? err->text : "");
	cf_err_clear(err);
	return 0;
}

/* False also when we may not look. */
static bool account_is_missing(struct cf_mysql *my, const char *account)
{
	const char *at = strrchr(account, '@');
	char *user = at ? strndup(account, (size_t)(at - account)) : strdup(account), *found = NULL;
	bool missing = user &&
		       cf_mysql_ask_value(my, &found, NULL,
					  "SELECT COUNT(*) FROM mysql.user WHERE User = %t AND "
					  "Host = %t",
					  user, at ? at + 1 : "") == 0 &&
		       found && !strcmp(found, "0");

	free(user);
	free(found);
	return missing;
}

static bool is_first_of(const struct cf_mysql_load *load, size_t index)
{
	const char *definer = load->objects[index].from->definer;

	for (size_t i = 0; i < index; i++)
		if (load->objects[i].from->definer &&
		    !strcmp(load->objects[i].from->definer, definer))
			return false;
	return true;
}

int cf_mysql_load_check_definers(struct cf_mysql_load *load, struct cf_err *err)
{
	if (load->options->no_owner)
		return 0;
	for (size_t i = 0; i < load->n_objects; i++) {
		const char *definer = load->objects[i].from->definer;
		int rc = cf_ctx_check(load->ctx, err);

		if (rc < 0)
			return rc;
		if (definer && is_first_of(load, i) && account_is_missing(load->my, definer))
			cf_ctx_warn(load->ctx, "definer.missing", definer,
				    "%s and perhaps others belong to %s, who is not on this "
				    "server%s",
				    load->objects[i].label, definer,
				    load->options->users
					    ? ""
					    : " (--users makes the users of a whole snapshot)");
	}
	return 0;
}

struct reference {
	struct cf_mysql_load *load;
	const struct cf_mysql_load_table *table;
};

static bool same_name(const struct cf_mysql_load *load, const char *a, const char *b)
{
	return load->folds ? !strcasecmp(a, b) : !strcmp(a, b);
}

const struct cf_mysql_load_table *cf_mysql_load_find_table(const struct cf_mysql_load *load,
							   const char *database, const char *name)
{
	for (size_t i = 0; i < load->n_tables; i++)
		if (!load->tables[i].is_left_out &&
		    same_name(load, load->targets[load->tables[i].target].name, database) &&
		    same_name(load, load->tables[i].name, name))
			return &load->tables[i];
	return NULL;
}

static int check_reference(void *user, const char *db, const char *name, struct cf_err *err)
{
	const struct reference *reference = user;
	struct cf_mysql_load *load = reference->load;
	const char *database = *db ? db : load->targets[reference->table->target].name;
	char *found = NULL;
	int rc;

	if (cf_mysql_load_find_table(load, database, name))
		return 0;
	rc = cf_mysql_ask_value(load->my, &found, err,
				load->folds ? "SELECT 1 FROM information_schema.TABLES "
					      "WHERE TABLE_SCHEMA = %t AND TABLE_NAME = %t"
					    : "SELECT 1 FROM information_schema.TABLES "
					      "WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i",
				database, name);
	if (rc == 0 && !found)
		cf_ctx_warn(load->ctx, "reference.missing", reference->table->label,
			    "%s has a foreign key to %s.%s, which is not there: until it is, the "
			    "table takes no new rows",
			    reference->table->label, database, name);
	free(found);
	return rc;
}

int cf_mysql_load_check_references(struct cf_mysql_load *load, struct cf_err *err)
{
	/* The last object left its own. */
	int rc = cf_mysql_run(load->my, "SET NAMES utf8mb4", err);

	if (rc == 0)
		rc = cf_mysql_run(load->my, "SET SESSION sql_mode=''", err);
	for (size_t i = 0; rc == 0 && i < load->n_tables; i++) {
		struct reference reference = {.load = load, .table = &load->tables[i]};

		if (load->tables[i].create.len > 0)
			rc = cf_mysql_ddl_references((const char *)load->tables[i].create.data,
						     check_reference, &reference, err);
		if (rc == 0 && load->tables[i].foreign.len > 0)
			rc = cf_mysql_ddl_references((const char *)load->tables[i].foreign.data,
						     check_reference, &reference, err);
	}
	return rc;
}
