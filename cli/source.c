#include "cli/source.h"

#include "base/err.h"
#include "drivers/driver.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int cf_source_find(const char *text, const struct cf_driver **driver_out, const char **rest_out,
		   struct cf_err *err)
{
	struct stat st;
	int rc = cf_driver_find(text, driver_out, rest_out, err);

	/* With a colon it is a mistyped scheme more likely than a file. */
	if (rc != CF_ERR_USAGE || strchr(text, ':'))
		return rc;
	if (lstat(text, &st) != 0)
		return errno == EACCES ? cf_err_errno(err, errno, "%s", text) : rc;
	cf_err_clear(err);
	rc = cf_driver_find("./", driver_out, rest_out, err);
	*rest_out = text;
	return rc;
}
