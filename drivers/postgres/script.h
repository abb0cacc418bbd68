#ifndef CF_DRIVERS_POSTGRES_SCRIPT_H
#define CF_DRIVERS_POSTGRES_SCRIPT_H

/*
 * The self-contained script of one table: `psql -v ON_ERROR_STOP=1 -f FILE` makes the table in an
 * empty database.
 *
 *     before   settings; what the table needs by the archive's dependencies (schema, extensions,
 *              types, functions, sequences, inheritance parents); CREATE TABLE; "COPY ... FROM stdin;"
 *     data     the rows as COPY text, which the caller places between the two
 *     after    "\."; values of its sequences; defaults, constraints, indexes, statistics, triggers,
 *              rules, policies, comments; foreign keys to itself
 *
 * What the table only needs stays as it is where it is there already, as when the script of another
 * table was loaded before, or a restore of this table finds it. The table itself must not be there.
 *
 * Left out: owners, grants, security labels, publications, tablespaces, foreign keys to other
 * tables. A partition is a plain table. No name stands in a comment, since a name may hold a
 * newline (the caller's copy_stmt may begin with one in which it has none). psql's own commands are
 * shut off by \restrict between the first line and the last.
 *
 * Threads: after cf_pg_script_new the functions may be called from several threads at once.
 */

#include "base/buf.h"

#include <stdint.h>

#define CF_PG_SCRIPT_VERSION 1 /* rises when the same archive gives another script */

struct cf_err;
struct cf_pg_manifest;
struct cf_pg_script;
struct cf_pg_toc;

/*
 * toc and manifest are borrowed; of the manifest only `sequences` is used, so tables may still be
 * filled in. restrict_key: letters and digits; who writes names and functions into the source must
 * not be able to guess it.
 */
int cf_pg_script_new(const struct cf_pg_toc *toc, const struct cf_pg_manifest *manifest,
		     const char *restrict_key, struct cf_pg_script **script_out,
		     struct cf_err *err);
void cf_pg_script_free(struct cf_pg_script *script);

/*
 * Appends the text before and after the data of the table with this oid. copy_stmt: "COPY s.t (a,
 * b) FROM stdin;", or NULL for a table without data: then nothing goes between the two.
 *
 * CF_ERR_NOT_FOUND when the archive does not make the table (a configuration table of an
 * extension).
 */
int cf_pg_script_table(const struct cf_pg_script *script, uint32_t oid, const char *copy_stmt,
		       struct cf_buf *before, struct cf_buf *after, struct cf_err *err);

#endif
