/* coffer stats */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/output.h"
#include "repo/repo.h"
#include "repo/stats.h"

static int print_json(const struct cf_repo *repo, const struct cf_stats *stats, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_doc_text(&document, "id", cf_repo_id_text(repo));
	cf_doc_text(&document, "cipher", cf_cipher_name(cf_repo_cipher(repo)));
	cf_doc_text(&document, "chunker", cf_chunker_name(cf_repo_chunker_kind(repo)));
	cf_doc_count(&document, "snapshots", stats->snapshots);
	cf_doc_count(&document, "snapshot_bytes", stats->snapshot_bytes);
	cf_doc_count(&document, "stored_bytes", stats->stored_bytes);
	cf_doc_count(&document, "packs", stats->packs);
	cf_doc_count(&document, "pack_bytes", stats->pack_bytes);
	cf_doc_count(&document, "index_objects", stats->index_objects);
	cf_doc_count(&document, "index_bytes", stats->index_bytes);
	cf_doc_count(&document, "snapshot_objects_bytes", stats->snapshot_objects_bytes);
	cf_doc_count(&document, "chunks", stats->chunks);
	cf_doc_count(&document, "chunk_bytes", stats->chunk_bytes);
	cf_doc_count(&document, "delta_chunks", stats->delta_chunks);
	cf_doc_count(&document, "delta_bytes_plain", stats->delta_bytes_plain);
	cf_doc_count(&document, "delta_bytes_stored", stats->delta_bytes_stored);
	return cf_doc_print(&document, stdout, err);
}

static void print_text(const struct cf_repo *repo, const struct cf_stats *stats)
{
	printf("repository  %s, %s, chunker %s\n", cf_repo_id_text(repo),
	       cf_cipher_name(cf_repo_cipher(repo)), cf_chunker_name(cf_repo_chunker_kind(repo)));
	printf("snapshots   %llu, %s in all\n", (unsigned long long)stats->snapshots,
	       cf_text_size(stats->snapshot_bytes).s);
	printf("stored      %s (%s of that)\n", cf_text_size(stats->stored_bytes).s,
	       cf_text_share(stats->stored_bytes, stats->snapshot_bytes).s);
	printf("packs       %llu, %s\n", (unsigned long long)stats->packs,
	       cf_text_size(stats->pack_bytes).s);
	printf("index       %s, %s\n", cf_text_count(stats->index_objects, "segment", "segments").s,
	       cf_text_size(stats->index_bytes).s);
	printf("chunks      %llu distinct, %s plain\n", (unsigned long long)stats->chunks,
	       cf_text_size(stats->chunk_bytes).s);
	printf("deltas      %llu, %s plain kept as", (unsigned long long)stats->delta_chunks,
	       cf_text_size(stats->delta_bytes_plain).s);
	printf(" %s\n", cf_text_size(stats->delta_bytes_stored).s);
}

int cf_cmd_stats(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_stats stats = {0};
	struct cf_repo *repo = NULL;
	int rc = cf_cli_open(cli, &repo, err);

	if (rc < 0)
		return rc;
	rc = cf_stats_collect(repo, &stats, err);
	if (rc == 0 && cli->json)
		rc = print_json(repo, &stats, err);
	else if (rc == 0)
		print_text(repo, &stats);
	cf_repo_close(repo);
	return rc;
}
