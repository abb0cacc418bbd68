#ifndef CF_DRIVERS_POSTGRES_GRAPH_H
#define CF_DRIVERS_POSTGRES_GRAPH_H

/*
 * What needs what in an archive, and which entries belong to a table.
 *
 * Entries are named by their index in the archive. Satellites of a relation are what ends with it:
 * defaults, constraints, indexes, statistics, triggers, rules, policies, its own sequences,
 * comments, grants. An entry needs what its dependencies name, with two exceptions: a partition
 * stands without its parent, its indexes without the parent's.
 *
 * Read-only once made: any number of threads.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_pg_graph;
struct cf_pg_toc;
struct cf_pg_toc_entry;

#define CF_PG_NO_ENTRY SIZE_MAX

/* toc is borrowed. */
int cf_pg_graph_new(const struct cf_pg_toc *toc, struct cf_pg_graph **graph_out,
		    struct cf_err *err);
void cf_pg_graph_free(struct cf_pg_graph *graph);

/* The table, view, foreign table, materialized view or sequence with this oid, or CF_PG_NO_ENTRY.
 */
size_t cf_pg_graph_relation(const struct cf_pg_graph *graph, uint32_t oid);
/* By dump id, or CF_PG_NO_ENTRY. */
size_t cf_pg_graph_entry(const struct cf_pg_graph *graph, int32_t dump_id);
/* What an entry is a satellite of, or CF_PG_NO_ENTRY. */
size_t cf_pg_graph_owner(const struct cf_pg_graph *graph, size_t index);
/* What a partition is attached to, or CF_PG_NO_ENTRY. */
size_t cf_pg_graph_parent(const struct cf_pg_graph *graph, size_t index);

/* Whether an entry depends on the relation with this oid by its own dependencies. */
bool cf_pg_graph_depends(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry,
			 uint32_t oid);

bool cf_pg_is_relation(const struct cf_pg_toc_entry *entry);

enum cf_pg_mark {
	CF_PG_OUT = 0,
	CF_PG_NEEDED, /* by something in the set */
	CF_PG_SATELLITE,
	CF_PG_CHOSEN
};

/* Entries on their way into a script or a restore. Start with cf_pg_set_init(), end with
 * cf_pg_set_release(). */
struct cf_pg_set {
	uint8_t *marks; /* enum cf_pg_mark of every entry */
	size_t *list;	/* those that are in */
	size_t n;
};

int cf_pg_set_init(const struct cf_pg_graph *graph, struct cf_pg_set *set, struct cf_err *err);
void cf_pg_set_release(struct cf_pg_set *set);
void cf_pg_set_choose(struct cf_pg_set *set, size_t index);
/* Adds the satellites of what is chosen and what all of it needs, and sorts: once, after the last
 * choice. What a foreign key refers to is not added. */
void cf_pg_set_close(const struct cf_pg_graph *graph, struct cf_pg_set *set);
/* After that: adds what attaches partitions, and their indexes, to parents where both are in. */
void cf_pg_set_attach(const struct cf_pg_graph *graph, struct cf_pg_set *set);

#endif
