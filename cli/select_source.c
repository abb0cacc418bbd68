#include "cli/select_source.h"

#include "base/buf.h"
#include "base/err.h"
#include "cli/escape.h"
#include "cli/redact.h"
#include "cli/source.h"
#include "cli/suggest.h"
#include "drivers/driver.h"
#include "drivers/source_names.h"
#include "repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum {
	LISTED_MAX = 3 /* of sources in a message */
};

static int escape(char **text, struct cf_err *err)
{
	char *stored = *text ? cf_escape_stored(*text) : NULL;

	if (*text && !stored)
		return cf_err_nomem(err);
	free(*text);
	*text = stored;
	return 0;
}

/* What a backup of the text would be called, as it is stored. */
static int find_names(const char *text, struct cf_source_names *names, struct cf_err *err)
{
	const struct cf_driver *driver;
	const char *rest;
	int rc = cf_source_find(text, &driver, &rest, err);

	/* A bare name that was there once. */
	if (rc < 0 && rc != CF_ERR_NOMEM && !strchr(text, ':')) {
		driver = cf_driver_named("files");
		rest = text;
		rc = 0;
	}
	if (rc == 0)
		rc = driver->names(rest, names, err);
	for (size_t i = 0; rc == 0 && i < names->n; i++) {
		rc = escape(&names->items[i].head, err);
		if (rc == 0)
			rc = escape(&names->items[i].tail, err);
	}
	if (rc < 0 && rc != CF_ERR_NOMEM) { /* no source, so a name that none of the list is */
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

static bool fits(const struct cf_source_names *names, const char *listed)
{
	for (size_t i = 0; i < names->n; i++)
		if (cf_source_name_fits(&names->items[i], listed))
			return true;
	return false;
}

static bool is_first(const struct cf_snapshot_list *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(list->items[k]->source, list->items[i]->source) == 0)
			return false;
	return true;
}

/* The one source of the list that is meant; *found_out stays NULL when there is none. */
static int match(const struct cf_snapshot_list *list, const char *text, const struct cf_source_names *names,
		 const char **found_out, struct cf_err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *source = list->items[i]->source;

		if (!fits(names, source) || (*found_out && strcmp(*found_out, source) == 0))
			continue;
		if (*found_out)
			return cf_err_set(err, CF_ERR_USAGE, "--source: '%s' may be %s or %s: give one of these", text,
					  *found_out, source);
		*found_out = source;
	}
	return 0;
}

static const char *nearest(const struct cf_snapshot_list *list, const char *wanted)
{
	struct cf_suggest suggest = cf_suggest_begin(wanted, strlen(wanted));

	for (size_t i = 0; i < list->n; i++)
		cf_suggest_offer(&suggest, list->items[i]->source);
	return suggest.best;
}

static int list_some(const struct cf_snapshot_list *list, struct cf_buf *hint, struct cf_err *err)
{
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (is_first(list, i) && ++n <= LISTED_MAX)
			rc = cf_buf_printf(hint, err, "%s%s", n > 1 ? ", " : "; there are ", list->items[i]->source);
	if (rc == 0 && n > LISTED_MAX)
		rc = cf_buf_printf(hint, err, " and %zu more", n - LISTED_MAX);
	return rc;
}

static int describe(const struct cf_snapshot_list *list, const char *text, const char *wanted, char **hint_out,
		    struct cf_err *err)
{
	const char *near = nearest(list, wanted);
	struct cf_buf hint = CF_BUF_INIT;
	char *shown;
	int rc;

	if (list->n == 0)
		return 0;
	shown = cf_redact(text);
	rc = shown ? cf_buf_printf(&hint, err, "no snapshot is of %s", shown) : cf_err_nomem(err);
	free(shown);
	if (rc == 0)
		rc = near ? cf_buf_printf(&hint, err, "; did you mean %s?", near) : list_some(list, &hint, err);
	if (rc == 0)
		rc = cf_buf_append(&hint, "", 1, err);
	if (rc < 0)
		cf_buf_release(&hint);
	else
		*hint_out = (char *)hint.data;
	return rc;
}

static bool is_listed(const struct cf_snapshot_list *list, const char *source)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i]->source, source) == 0)
			return true;
	return false;
}

int cf_select_source(const struct cf_snapshot_list *list, const char *text, char **source_out, char **hint_out,
		     struct cf_err *err)
{
	struct cf_source_names names = {0};
	char *stored = cf_escape_stored(text);
	const char *found = NULL;
	int rc = stored ? 0 : cf_err_nomem(err);

	if (rc == 0 && is_listed(list, stored))
		found = stored;
	else if (rc == 0)
		rc = find_names(text, &names, err);
	if (rc == 0 && !found)
		rc = match(list, text, &names, &found, err);
	if (rc == 0 && !found) {
		found = names.n && !names.items[0].tail ? names.items[0].head : stored;
		rc = describe(list, stored, found, hint_out, err);
	}
	if (rc == 0 && !(*source_out = strdup(found)))
		rc = cf_err_nomem(err);
	cf_source_names_release(&names);
	free(stored);
	return rc;
}
