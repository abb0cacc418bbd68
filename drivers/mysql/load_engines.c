/* Engines of tables: what the server lacks is told before anything was changed. */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/sql.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int has_engine(struct cf_mysql_load *load, const char *engine, bool *has_out,
		      struct cf_err *err)
{
	char *found = NULL;
	int rc = cf_mysql_ask_value(load->my, &found, err,
				    "SELECT 1 FROM information_schema.ENGINES "
				    "WHERE ENGINE = %t AND SUPPORT IN ('YES', 'DEFAULT')",
				    engine);

	*has_out = rc == 0 && found;
	free(found);
	return rc;
}

/* On a server of our own, from its library: ha_archive. What comes of it shows afterwards. */
static void install_engine(struct cf_mysql_load *load, const char *engine)
{
	char *library;

	if (asprintf(&library, "ha_%s", engine) < 0)
		return;
	for (char *at = library; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	cf_mysql_do(load->my, NULL, "INSTALL SONAME %t", library);
	free(library);
}

static bool is_first_of_engine(const struct cf_mysql_load *load, size_t index)
{
	const char *engine = load->tables[index].from->engine;

	for (size_t i = 0; i < index; i++)
		if (load->tables[i].from->engine &&
		    !strcasecmp(load->tables[i].from->engine, engine))
			return false;
	return true;
}

static int check_engine(struct cf_mysql_load *load, const struct cf_mysql_load_table *table,
			struct cf_err *err)
{
	const char *engine = table->from->engine;
	bool is_own = load->is_trial && !load->is_shared, has;
	int rc = has_engine(load, engine, &has, err);

	if (rc == 0 && !has && is_own && !strcasecmp(engine, "FEDERATED"))
		return 0; /* another one stands in */
	if (rc == 0 && !has && is_own) {
		install_engine(load, engine);
		rc = has_engine(load, engine, &has, err);
	}
	if (rc == 0 && !has)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND,
				"%s: %s is of the engine %s, which this server does not have: add "
				"it (INSTALL SONAME), or leave the table out by --exclude-table",
				cf_mysql_server_name(load->my), table->label, engine);
	return rc;
}

static void leave_out(struct cf_mysql_load *load, const char *engine)
{
	for (size_t i = 0; i < load->n_tables; i++)
		if (load->tables[i].from->engine &&
		    !strcasecmp(load->tables[i].from->engine, engine))
			load->tables[i].is_left_out = true;
}

int cf_mysql_load_check_engines(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	if (load->options->data_only)
		return 0;
	for (size_t i = 0; rc == 0 && i < load->n_tables; i++) {
		const struct cf_mysql_load_table *table = &load->tables[i];

		if (!table->from->engine || !is_first_of_engine(load, i))
			continue;
		rc = check_engine(load, table, err);
		if (rc < 0 && cf_mysql_load_forgives(load, load->my, rc))
			leave_out(load, table->from->engine);
		rc = cf_mysql_load_forgive(load, load->my, table->label, rc, err);
	}
	return rc;
}
