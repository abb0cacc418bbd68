#include "drivers/driver.h"

#include "base/err.h"
#include "drivers/files/files.h"
#include "drivers/mysql/mysql.h"
#include "drivers/postgres/postgres.h"
#include "drivers/sqlite/sqlite.h"
#include "drivers/stream/stream.h"
#include "drivers/tar/tar.h"

#include <string.h>

const struct cf_driver *const cf_drivers[] = {
	&cf_files_driver,
	&cf_stream_driver,
	&cf_tar_driver,
	&cf_sqlite_driver,
#ifdef CF_WITH_POSTGRES
	&cf_postgres_driver,
#endif
#ifdef CF_WITH_MYSQL
	&cf_mysql_driver,
#endif
	NULL,
};

static bool is_name(const char *name, const char *text, size_t len)
{
	return name && strlen(name) == len && memcmp(name, text, len) == 0;
}

static const struct cf_driver *driver_of_scheme(const char *scheme, size_t len)
{
	for (size_t i = 0; cf_drivers[i]; i++)
		if (is_name(cf_drivers[i]->scheme, scheme, len) ||
		    is_name(cf_drivers[i]->alias, scheme, len))
			return cf_drivers[i];
	return NULL;
}

const struct cf_driver *cf_driver_named(const char *scheme)
{
	return driver_of_scheme(scheme, strlen(scheme));
}

static bool is_path(const char *source)
{
	return source[0] == '/' || strcmp(source, ".") == 0 || strcmp(source, "..") == 0 ||
	       strncmp(source, "./", 2) == 0 || strncmp(source, "../", 3) == 0;
}

static int refuse(const char *source, struct cf_err *err)
{
	struct cf_buf known = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && cf_drivers[i]; i++)
		rc = cf_buf_printf(&known, err, "%s%s:", i ? " " : "", cf_drivers[i]->scheme);
	if (rc == 0)
		rc = cf_err_set(err, CF_ERR_USAGE, "'%s' is neither a path nor one of %s", source,
				(const char *)known.data);
	cf_buf_release(&known);
	return rc;
}

int cf_driver_find(const char *source, const struct cf_driver **driver_out, const char **rest_out,
		   struct cf_err *err)
{
	const char *colon = strchr(source, ':');
	const struct cf_driver *driver = NULL;

	*rest_out = source;
	if (colon) {
		driver = driver_of_scheme(source, (size_t)(colon - source));
		if (driver)
			*rest_out = colon + 1;
	}
	if (!driver && is_path(source))
		driver = driver_of_scheme("files", strlen("files"));
	if (!driver)
		return refuse(source, err);
	*driver_out = driver;
	return 0;
}
