/* The definitions, object by object, where schema.sql is not the same to the byte: which one is
 * another, or whether the server only writes it another way (drivers/postgres/settle.h). */

#include "base/err.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/settle.h"
#include "drivers/postgres/toc.h"
#include "drivers/postgres/verify.h"

#include <stdlib.h>
#include <string.h>

enum {
	SHOWN_MAX = 10,	/* objects that differ; the others are counted */
	EXCERPT_LEN = 60
};

/* Entries in an order of their names. */
struct listing {
	const struct cf_pg_toc_entry **items;
	size_t n;
};

struct outcome {
	struct cf_pg_verify *verify;
	size_t n_differ, n_settled;
	struct cf_err *err;
};

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static int compare_names(const struct cf_pg_toc_entry *a, const struct cf_pg_toc_entry *b)
{
	int order = strcmp(a->desc, b->desc);

	if (order == 0)
		order = strcmp(text_of(a->nspname), text_of(b->nspname));
	return order ? order : strcmp(a->tag, b->tag);
}

/* Default rights of several roles are called the same. */
static int in_order(const void *a, const void *b)
{
	const struct cf_pg_toc_entry *const *x = a, *const *y = b;
	int order = compare_names(*x, *y);

	if (order == 0)
		order = strcmp(text_of((*x)->owner), text_of((*y)->owner));
	return order ? order : strcmp(text_of((*x)->defn), text_of((*y)->defn));
}

/* schema.sql has nothing about the database itself, which is called otherwise. */
static bool is_of_database(const struct cf_pg_toc_entry *entry)
{
	return strncmp(entry->desc, "DATABASE", strlen("DATABASE")) == 0 ||
	       (entry->section == CF_PG_SECTION_NONE && !entry->nspname &&
		strncmp(entry->tag, "DATABASE ", strlen("DATABASE ")) == 0);
}

static int list_entries(const struct cf_pg_toc *toc, struct listing *listing, struct cf_err *err)
{
	listing->items = calloc(toc->n_entries + 1, sizeof(struct cf_pg_toc_entry *));
	if (!listing->items)
		return cf_err_nomem(err);
	for (size_t i = 0; i < toc->n_entries; i++)
		if (!is_of_database(&toc->entries[i]))
			listing->items[listing->n++] = &toc->entries[i];
	qsort(listing->items, listing->n, sizeof(struct cf_pg_toc_entry *), in_order);
	return 0;
}

static void report(struct outcome *outcome, const struct cf_pg_toc_entry *entry,
		   const char *what, const char *found, const char *wanted)
{
	if (outcome->n_differ++ >= SHOWN_MAX)
		return;
	cf_pg_verify_report(outcome->verify, "schema", outcome->verify->manifest->name, false,
			    "%s %s%s%s %s%s%.*s%s%.*s%s", entry->desc, text_of(entry->nspname),
			    entry->nspname ? "." : "", entry->tag, what, wanted ? ": \"" : "",
			    EXCERPT_LEN, text_of(found), wanted ? "\", should be \"" : "",
			    EXCERPT_LEN, text_of(wanted), wanted ? "\"" : "");
}

static bool is_same(const char *a, const char *b)
{
	return strcmp(text_of(a), text_of(b)) == 0;
}

/* From a little before what differs. */
static void report_texts(struct outcome *outcome, const struct cf_pg_toc_entry *entry,
			 const char *found, const char *wanted)
{
	size_t at = 0;

	while (found[at] && found[at] == wanted[at])
		at++;
	for (size_t n = 0; at > 0 && n < EXCERPT_LEN / 3; n++)
		at -= found[at - 1] != '\n';
	report(outcome, entry, "differs", found + at, wanted + at);
}

static int compare_definitions(struct outcome *outcome, const struct cf_pg_toc_entry *found,
			       const struct cf_pg_toc_entry *wanted)
{
	struct cf_buf found_text = CF_BUF_INIT, wanted_text = CF_BUF_INIT;
	int rc;

	if (is_same(found->defn, wanted->defn))
		return 0;
	rc = cf_pg_settle(text_of(found->defn), &found_text, outcome->err);
	if (rc == 0)
		rc = cf_pg_settle(text_of(wanted->defn), &wanted_text, outcome->err);
	if (rc == 0 && strcmp((const char *)found_text.data, (const char *)wanted_text.data) == 0)
		outcome->n_settled++;
	else if (rc == 0)
		report_texts(outcome, wanted, (const char *)found_text.data,
			     (const char *)wanted_text.data);
	cf_buf_release(&found_text);
	cf_buf_release(&wanted_text);
	return rc;
}

static int compare_entries(struct outcome *outcome, const struct cf_pg_toc_entry *found,
			   const struct cf_pg_toc_entry *wanted)
{
	if (!is_same(found->owner, wanted->owner))
		report(outcome, wanted, "has another owner", found->owner, text_of(wanted->owner));
	else if (!is_same(found->tablespace, wanted->tablespace))
		report(outcome, wanted, "is in another tablespace", found->tablespace,
		       text_of(wanted->tablespace));
	else if (!is_same(found->table_am, wanted->table_am))
		report(outcome, wanted, "has another access method", found->table_am,
		       text_of(wanted->table_am));
	else
		return compare_definitions(outcome, found, wanted);
	return 0;
}

static int compare_all(struct outcome *outcome, const struct listing *found,
		       const struct listing *wanted)
{
	size_t i = 0, k = 0;
	int rc = 0;

	while (rc == 0 && (i < found->n || k < wanted->n)) {
		int order = i == found->n	? 1
			    : k == wanted->n ? -1
					     : compare_names(found->items[i], wanted->items[k]);

		if (order > 0)
			report(outcome, wanted->items[k++], "is missing", NULL, NULL);
		else if (order < 0)
			report(outcome, found->items[i++], "is not in the snapshot", NULL, NULL);
		else
			rc = compare_entries(outcome, found->items[i++], wanted->items[k++]);
	}
	return rc;
}

/* Where no object differs, only their order does. */
static void tell(const struct outcome *outcome)
{
	const char *database = outcome->verify->manifest->name;

	if (outcome->n_differ > SHOWN_MAX)
		cf_pg_verify_report(outcome->verify, "schema", database, false,
				    "%zu more objects differ", outcome->n_differ - SHOWN_MAX);
	else if (outcome->n_differ == 0 && outcome->n_settled > 0)
		cf_pg_verify_report(outcome->verify, "schema", database, true,
				    "equal; the server writes %zu of the definitions in another way",
				    outcome->n_settled);
	else if (outcome->n_differ == 0)
		cf_pg_verify_report(outcome->verify, "schema", database, true,
				    "equal, in another order");
}

int cf_pg_verify_schema(struct cf_pg_verify *verify, struct cf_span archive, struct cf_err *err)
{
	struct outcome outcome = {.verify = verify, .err = err};
	struct listing found = {0}, wanted = {0};
	struct cf_pg_toc *toc = NULL;
	int rc = cf_pg_toc_decode(archive, &toc, err);

	if (rc == 0)
		rc = list_entries(toc, &found, err);
	if (rc == 0)
		rc = list_entries(verify->toc, &wanted, err);
	if (rc == 0)
		rc = compare_all(&outcome, &found, &wanted);
	if (rc == 0)
		tell(&outcome);
	free(found.items);
	free(wanted.items);
	cf_pg_toc_free(toc);
	return rc;
}
