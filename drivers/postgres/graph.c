#include "drivers/postgres/graph.h"

#include "base/err.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

struct key {
	uint32_t value; /* dump id or oid */
	size_t index;
};

struct cf_pg_graph {
	const struct cf_pg_toc *toc;
	struct key *by_id, *by_oid;
	size_t n_relations; /* in by_oid */
	size_t *owners, *parents;
	size_t btree_gist;	  /* the extension, or CF_PG_NO_ENTRY */
	size_t *satellites;	  /* grouped by owner */
	size_t *first_satellites; /* of each entry, and the end */
};

static bool is_one_of(const char *desc, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(desc, *names) == 0)
			return true;
	return false;
}

static bool is_desc(const struct cf_pg_toc_entry *entry, const char *desc)
{
	return strcmp(entry->desc, desc) == 0;
}

bool cf_pg_is_relation(const struct cf_pg_toc_entry *entry)
{
	static const char *const relations[] = {"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW",
						"VIEW", NULL};

	return is_one_of(entry->desc, relations);
}

static int by_value(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static size_t find_key(const struct key *keys, size_t n, uint32_t value)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (keys[middle].value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && keys[low].value == value ? keys[low].index : CF_PG_NO_ENTRY;
}

size_t cf_pg_graph_relation(const struct cf_pg_graph *graph, uint32_t oid)
{
	return find_key(graph->by_oid, graph->n_relations, oid);
}

size_t cf_pg_graph_entry(const struct cf_pg_graph *graph, int32_t dump_id)
{
	return dump_id > 0 ? find_key(graph->by_id, graph->toc->n_entries, (uint32_t)dump_id)
			   : CF_PG_NO_ENTRY;
}

size_t cf_pg_graph_owner(const struct cf_pg_graph *graph, size_t index)
{
	return graph->owners[index];
}

size_t cf_pg_graph_parent(const struct cf_pg_graph *graph, size_t index)
{
	return graph->parents[index];
}

bool cf_pg_graph_depends(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry,
			 uint32_t oid)
{
	size_t relation = cf_pg_graph_relation(graph, oid);

	for (size_t i = 0; relation != CF_PG_NO_ENTRY && i < entry->n_deps; i++)
		if (cf_pg_graph_entry(graph, entry->deps[i]) == relation)
			return true;
	return false;
}

static void index_entries(struct cf_pg_graph *graph)
{
	const struct cf_pg_toc *toc = graph->toc;

	graph->btree_gist = CF_PG_NO_ENTRY;
	for (size_t i = 0; i < toc->n_entries; i++) {
		if (is_desc(&toc->entries[i], "EXTENSION") &&
		    strcmp(toc->entries[i].tag, "btree_gist") == 0)
			graph->btree_gist = i;
		graph->by_id[i] = (struct key){(uint32_t)toc->entries[i].dump_id, i};
		if (cf_pg_is_relation(&toc->entries[i]) || is_desc(&toc->entries[i], "SEQUENCE"))
			graph->by_oid[graph->n_relations++] = (struct key){toc->entries[i].oid, i};
	}
	qsort(graph->by_id, toc->n_entries, sizeof(*graph->by_id), by_value);
	qsort(graph->by_oid, graph->n_relations, sizeof(*graph->by_oid), by_value);
}

/* The tag of a table's satellite begins with the table's name and a space: how much of it the name
 * is. */
static size_t tag_match(const struct cf_pg_toc_entry *entry, const struct cf_pg_toc_entry *table)
{
	size_t len = strlen(table->tag);

	if (!table->nspname || !entry->nspname || strcmp(table->nspname, entry->nspname) != 0)
		return 0;
	return strncmp(entry->tag, table->tag, len) == 0 && entry->tag[len] == ' ' ? len : 0;
}

/* Of several tables that it depends on (a policy's expression may read others), the one its tag
 * names. */
static size_t owner_by_tag(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry)
{
	size_t best = CF_PG_NO_ENTRY, best_len = 0;

	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(graph, entry->deps[i]);
		size_t len =
			dep == CF_PG_NO_ENTRY ? 0 : tag_match(entry, &graph->toc->entries[dep]);

		if (len > best_len) {
			best = dep;
			best_len = len;
		}
	}
	return best;
}

static size_t first_relation(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry)
{
	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(graph, entry->deps[i]);

		if (dep != CF_PG_NO_ENTRY && cf_pg_is_relation(&graph->toc->entries[dep]))
			return dep;
	}
	return CF_PG_NO_ENTRY;
}

static size_t find_owner(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry)
{
	static const char *const tagged[] = {"DEFAULT",	      "CONSTRAINT", "CHECK CONSTRAINT",
					     "FK CONSTRAINT", "TRIGGER",    "RULE",
					     "POLICY",	      NULL};
	static const char *const lone[] = {"INDEX", "STATISTICS", "SEQUENCE", "ROW SECURITY", NULL};
	static const char *const attached[] = {"COMMENT", "SECURITY LABEL", "ACL",
					       "SEQUENCE OWNED BY", NULL};

	if (is_one_of(entry->desc, tagged))
		return owner_by_tag(graph, entry);
	if (is_one_of(entry->desc, lone))
		return first_relation(graph, entry);
	if (is_one_of(entry->desc, attached) && entry->n_deps > 0)
		return cf_pg_graph_entry(graph, entry->deps[0]);
	return CF_PG_NO_ENTRY;
}

static void find_owners(struct cf_pg_graph *graph)
{
	for (size_t i = 0; i < graph->toc->n_entries; i++) {
		size_t owner = find_owner(graph, &graph->toc->entries[i]);

		graph->owners[i] = owner == i ? CF_PG_NO_ENTRY : owner;
		graph->parents[i] = CF_PG_NO_ENTRY;
	}
}

/* TABLE ATTACH depends on the partition and on the parent, in this order. */
static void find_parents(struct cf_pg_graph *graph)
{
	for (size_t i = 0; i < graph->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &graph->toc->entries[i];
		size_t child, parent;

		if (!is_desc(entry, "TABLE ATTACH") || entry->n_deps < 2)
			continue;
		child = cf_pg_graph_entry(graph, entry->deps[0]);
		parent = cf_pg_graph_entry(graph, entry->deps[1]);
		if (child != CF_PG_NO_ENTRY && parent != CF_PG_NO_ENTRY && child != parent)
			graph->parents[child] = parent;
	}
}

static void group_satellites(struct cf_pg_graph *graph)
{
	size_t n = graph->toc->n_entries, *first = graph->first_satellites;

	for (size_t i = 0; i < n; i++)
		if (graph->owners[i] != CF_PG_NO_ENTRY)
			first[graph->owners[i]]++;
	/* Each becomes the end of its group, then by filling from the back its start. */
	for (size_t i = 1; i <= n; i++)
		first[i] += first[i - 1];
	for (size_t i = n; i-- > 0;)
		if (graph->owners[i] != CF_PG_NO_ENTRY)
			graph->satellites[--first[graph->owners[i]]] = i;
}

int cf_pg_graph_new(const struct cf_pg_toc *toc, struct cf_pg_graph **graph_out, struct cf_err *err)
{
	struct cf_pg_graph *graph = calloc(1, sizeof(*graph));
	size_t n = toc->n_entries;

	if (!graph)
		return cf_err_nomem(err);
	graph->toc = toc;
	graph->by_id = calloc(n + 1, sizeof(*graph->by_id));
	graph->by_oid = calloc(n + 1, sizeof(*graph->by_oid));
	graph->owners = calloc(n + 1, sizeof(*graph->owners));
	graph->parents = calloc(n + 1, sizeof(*graph->parents));
	graph->satellites = calloc(n + 1, sizeof(*graph->satellites));
	graph->first_satellites = calloc(n + 2, sizeof(*graph->first_satellites));
	if (!graph->by_id || !graph->by_oid || !graph->owners || !graph->parents ||
	    !graph->satellites || !graph->first_satellites) {
		cf_pg_graph_free(graph);
		return cf_err_nomem(err);
	}
	index_entries(graph);
	find_owners(graph);
	find_parents(graph);
	group_satellites(graph);
	*graph_out = graph;
	return 0;
}

void cf_pg_graph_free(struct cf_pg_graph *graph)
{
	if (!graph)
		return;
	free(graph->by_id);
	free(graph->by_oid);
	free(graph->owners);
	free(graph->parents);
	free(graph->satellites);
	free(graph->first_satellites);
	free(graph);
}

int cf_pg_set_init(const struct cf_pg_graph *graph, struct cf_pg_set *set, struct cf_err *err)
{
	size_t n = graph->toc->n_entries;

	*set = (struct cf_pg_set){.marks = calloc(n + 1, 1),
				  .list = malloc((n + 1) * sizeof(*set->list))};
	if (!set->marks || !set->list) {
		cf_pg_set_release(set);
		return cf_err_nomem(err);
	}
	return 0;
}

void cf_pg_set_release(struct cf_pg_set *set)
{
	free(set->marks);
	free(set->list);
	*set = (struct cf_pg_set){0};
}

static void add(struct cf_pg_set *set, size_t index, enum cf_pg_mark mark)
{
	if (set->marks[index] != CF_PG_OUT)
		return;
	set->marks[index] = (uint8_t)mark;
	set->list[set->n++] = index;
}

void cf_pg_set_choose(struct cf_pg_set *set, size_t index)
{
	add(set, index, CF_PG_CHOSEN);
}

static bool is_index(const struct cf_pg_toc_entry *entry)
{
	return is_desc(entry, "INDEX") || is_desc(entry, "CONSTRAINT");
}

/*
 * What an exclusion constraint's index needs is not among the constraint's dependencies. Of types
 * that are built in, this extension alone has operator classes for it; any other comes with the
 * extension that has the type.
 */
static bool needs_btree_gist(const struct cf_pg_graph *graph, const struct cf_pg_toc_entry *entry)
{
	return graph->btree_gist != CF_PG_NO_ENTRY && is_desc(entry, "CONSTRAINT") && entry->defn &&
	       strstr(entry->defn, " EXCLUDE USING gist ");
}

static void add_needed(const struct cf_pg_graph *graph, struct cf_pg_set *set, size_t index)
{
	const struct cf_pg_toc_entry *entry = &graph->toc->entries[index];

	if (is_desc(entry, "FK CONSTRAINT"))
		return;
	if (needs_btree_gist(graph, entry))
		add(set, graph->btree_gist, CF_PG_NEEDED);
	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(graph, entry->deps[i]);

		if (dep == CF_PG_NO_ENTRY || dep == graph->parents[index] ||
		    (is_index(entry) && is_index(&graph->toc->entries[dep])))
			continue;
		add(set, dep, CF_PG_NEEDED);
	}
}

/* Of what is only needed, without which it would not be the same: comments, a domain's constraints.
 */
static bool follows_needed(const struct cf_pg_graph *graph, size_t owner, size_t satellite)
{
	const struct cf_pg_toc_entry *entry = &graph->toc->entries[satellite];

	return !cf_pg_is_relation(&graph->toc->entries[owner]) || is_desc(entry, "COMMENT");
}

static void add_satellites(const struct cf_pg_graph *graph, struct cf_pg_set *set, size_t index)
{
	for (size_t i = graph->first_satellites[index]; i < graph->first_satellites[index + 1]; i++)
		if (set->marks[index] != CF_PG_NEEDED ||
		    follows_needed(graph, index, graph->satellites[i]))
			add(set, graph->satellites[i], CF_PG_SATELLITE);
}

static int by_index(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void cf_pg_set_close(const struct cf_pg_graph *graph, struct cf_pg_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		add_satellites(graph, set, set->list[i]);
		add_needed(graph, set, set->list[i]);
	}
	qsort(set->list, set->n, sizeof(*set->list), by_index);
}

static bool has_all(const struct cf_pg_graph *graph, const struct cf_pg_set *set,
		    const struct cf_pg_toc_entry *entry)
{
	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(graph, entry->deps[i]);

		if (dep != CF_PG_NO_ENTRY && set->marks[dep] == CF_PG_OUT)
			return false;
	}
	return true;
}

void cf_pg_set_attach(const struct cf_pg_graph *graph, struct cf_pg_set *set)
{
	static const char *const attaching[] = {"TABLE ATTACH", "INDEX ATTACH", NULL};

	for (size_t i = 0; i < graph->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &graph->toc->entries[i];

		if (is_one_of(entry->desc, attaching) && has_all(graph, set, entry))
			add(set, i, CF_PG_SATELLITE);
	}
	qsort(set->list, set->n, sizeof(*set->list), by_index);
}
