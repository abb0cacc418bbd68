#include "repo/stats.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/handle.h"
#include "repo/snapshot.h"

#include <string.h>

static int count_object(void *user, const char *name, uint64_t size)
{
	struct cf_stats *stats = user;

	stats->stored_bytes += size;
	if (strncmp(name, "packs/", 6) == 0) {
		stats->packs++;
		stats->pack_bytes += size;
	} else if (strncmp(name, "index/", 6) == 0) {
		stats->index_objects++;
		stats->index_bytes += size;
	} else if (strncmp(name, "snapshots/", 10) == 0) {
		stats->snapshot_objects_bytes += size;
	}
	return 0;
}

static int count_chunk(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct cf_stats *stats = user;

	(void)id;
	stats->chunks++;
	stats->chunk_bytes += place->raw_len;
	if (place->bases.n) {
		stats->delta_chunks++;
		stats->delta_bytes_plain += place->raw_len;
		stats->delta_bytes_stored += place->len;
	}
	return 0;
}

int cf_stats_collect(struct cf_repo *repo, struct cf_stats *stats_out, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	int rc;

	*stats_out = (struct cf_stats){0};
	rc = cf_snapshots_load(repo, NULL, &list, err);
	cf_snapshot_list_warn(repo, &list);
	stats_out->snapshots = list.n;
	for (size_t i = 0; i < list.n; i++)
		stats_out->snapshot_bytes += list.items[i]->figures.bytes_total;
	cf_snapshot_list_release(&list);
	if (rc == 0)
		rc = repo->backend->ops->list(repo->backend, "", count_object, stats_out, err);
	if (rc == 0)
		rc = cf_catalog_each(repo->catalog, count_chunk, stats_out, err);
	return rc < 0 ? rc : 0;
}
