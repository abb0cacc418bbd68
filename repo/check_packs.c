#include "repo/check_parts.h"

#include "base/err.h"
#include "base/failure.h"
#include "repo/blob.h"
#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/pack_reader.h"
#include "repo/verified.h"

#include <stdlib.h>

/* Reading packs: their bytes against their name, their table, and every chunk in them against its id. */

enum {
	REPORT_NS = 200000000
};

struct pack_job {
	struct cf_job job;
	struct cf_check *check;
	struct cf_checked_pack *pack;
	bool is_first;
	struct shared {
		int64_t end_ns; /* 0: no limit */
		struct cf_failure failure; /* what ends the check */
		pthread_mutex_t lock; /* everything below, the ledger, and what is read of packs */
		uint64_t bytes_done, bytes_total;
		int64_t reported_ns;
	} *shared;
};

/* CF_ERR_DAMAGED, unless it cannot be told. */
static int report_base(struct cf_check *check, struct cf_checked_pack *listed, struct cf_err *err)
{
	struct cf_err why = *err;
	int rc;

	cf_err_clear(err);
	rc = cf_check_is_outdated(check, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&check->lock);
	listed->is_doubtful = rc == 1;
	listed->is_baseless = rc == 0;
	check->n_doubtful += listed->is_doubtful;
	pthread_mutex_unlock(&check->lock);
	if (listed->is_baseless)
		cf_check_found(check, cf_pack_name(&listed->name).s, "%s", why.text);
	return CF_ERR_DAMAGED;
}

/* Nobody needs this pack's copy of a chunk: no snapshot has it, or there is one elsewhere. */
static bool is_dispensable(struct cf_check *check, const struct cf_checked_pack *listed, const struct cf_id *id)
{
	struct cf_location place;

	return !cf_id_set_has(&check->visited, id) ||
	       (cf_catalog_find_complete(check->repo->catalog, id, &place, NULL) == 1 && !cf_id_equal(&place.pack, &listed->name));
}

/*
 * A delta whose bases cannot be read: 1. That is no damage to this pack. Nor is it any when nobody needs the delta: prune may
 * have removed the bases with the last snapshot that did, or have given the chunk a new base, and the delta waits for its own pack to go.
 */
static int judge_bases(struct cf_check *check, struct cf_checked_pack *listed, const struct cf_id *id, int rc,
		       struct cf_err *err)
{
	if (rc != CF_ERR_DAMAGED)
		return rc;
	if (is_dispensable(check, listed, id)) {
		pthread_mutex_lock(&check->lock);
		check->figures.orphaned_deltas++;
		pthread_mutex_unlock(&check->lock);
	} else if (!listed->is_baseless && !listed->is_doubtful) {
		rc = report_base(check, listed, err);
	}
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		rc = 1;
	}
	return rc;
}

/* The plain text of a blob, delta or not. 1: it is a delta whose bases cannot be read. */
static int decode_blob(struct cf_check *check, struct cf_checked_pack *listed, struct cf_coder_slot *slot,
		       const struct cf_segment_pack *pack, const struct cf_table_blob *blob, struct cf_err *err)
{
	const struct cf_table_chunk *chunks = &pack->table.chunks[blob->first_chunk];
	struct cf_prefix base = {0};
	int rc = 0;

	if (blob->codec == CF_CODEC_ZSTD_DELTA)
		rc = judge_bases(check, listed, &chunks[0].id,
				 cf_prefix_read(check->repo, &chunks[0].bases, &base, err), err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), base.bytes,
				     cf_blob_raw_len(chunks, blob->n_chunks), &slot->raw, err);
	cf_prefix_release(check->repo, &base);
	return rc;
}

static int check_blobs(struct cf_check *check, struct cf_checked_pack *listed, struct cf_span bytes,
		       const struct cf_segment_pack *pack, const struct cf_seal_place *place, struct cf_span key,
		       struct cf_err *err)
{
	struct cf_coder_slot *slot = NULL;
	int rc = cf_repo_take_coder(check->repo, &slot, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < pack->table.n_blobs; i++) {
		const struct cf_table_blob *blob = &pack->table.blobs[i];

		rc = cf_ctx_check(check->repo->ctx, err);
		cf_buf_clear(&slot->sealed);
		if (rc == 0)
			rc = cf_unseal(place, key, blob->number, cf_span_of(bytes.data + blob->off, blob->len),
				       &slot->sealed, err);
		if (rc == 0)
			rc = decode_blob(check, listed, slot, pack, blob, err);
		if (rc == 0)
			rc = cf_blob_check_ids(check->repo, pack->type, &pack->table.chunks[blob->first_chunk], blob->n_chunks,
					       slot->raw.data, err);
		if (rc == 1)
			rc = 0;
	}
	cf_repo_give_coder(check->repo, slot);
	return rc;
}

/* The index must send readers where the pack's own table does. */
static int check_index(struct cf_check *check, const struct cf_segment_pack *pack, struct cf_err *err)
{
	for (size_t b = 0; b < pack->table.n_blobs; b++) {
		const struct cf_table_blob *blob = &pack->table.blobs[b];

		for (uint32_t i = 0; i < blob->n_chunks; i++) {
			const struct cf_id *id = &pack->table.chunks[blob->first_chunk + i].id;
			struct cf_location own = cf_location_of(pack, blob, i), found;
			int rc = cf_catalog_find(check->repo->catalog, id, &found, err);

			if (rc < 0)
				return rc;
			if (rc == 1 && cf_id_equal(&found.pack, &own.pack) &&
			    (found.off != own.off || found.len != own.len || found.frame_off != own.frame_off ||
			     found.raw_len != own.raw_len ||
			     memcmp(&found.bases, &own.bases, sizeof(own.bases)) != 0))
				return cf_err_set(err, CF_ERR_DAMAGED,
						  "the index has chunk %.16s elsewhere in it than its own table",
						  cf_id_text(id).s);
		}
	}
	return 0;
}

int cf_check_read_pack(struct cf_check *check, struct cf_checked_pack *listed, struct cf_err *err)
{
	struct cf_segment_pack pack = {0};
	struct cf_secret *key = NULL;
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_seal_place place;
	struct cf_span whole;
	struct cf_id name;
	int rc = cf_backend_get_all(check->repo->backend, cf_pack_name(&listed->name).s, CF_PACK_LEN_MAX, &bytes,
				    err);

	whole = cf_buf_span(&bytes);
	if (rc == 0)
		rc = cf_sha256(&whole, 1, &name, err);
	if (rc == 0 && !cf_id_equal(&name, &listed->name))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "its bytes do not fit its name");
	if (rc == 0)
		rc = cf_secret_new(CF_KEY_LEN, &key, err);
	if (rc == 0)
		rc = cf_pack_open_whole(check->repo, &name, whole, &pack, &place, cf_secret_data(key), err);
	if (rc == 0)
		rc = check_blobs(check, listed, whole, &pack, &place, cf_secret_span(key), err);
	if (rc == 0)
		rc = check_index(check, &pack, err);
	cf_pack_table_release(&pack.table);
	cf_secret_free(key);
	cf_buf_release(&bytes);
	return rc;
}

/* A job's result is in. */
static void report(struct pack_job *job, bool is_read, bool is_good)
{
	struct cf_check *check = job->check;
	struct shared *shared = job->shared;
	int64_t now = cf_ctx_now_ns(check->repo->ctx);
	struct cf_progress progress = {0};

	pthread_mutex_lock(&shared->lock);
	if (is_read) {
		check->figures.packs_read += !job->pack->was_read;
		check->figures.bytes_read += job->pack->was_read ? 0 : job->pack->size;
		job->pack->was_read = true;
		job->pack->is_bad = !is_good;
		job->pack->read_ns = now;
		cf_verified_note(check->verified, &job->pack->name, now, is_good);
	}
	shared->bytes_done += job->pack->size;
	if (now - shared->reported_ns >= REPORT_NS) {
		shared->reported_ns = now;
		progress.bytes_done = shared->bytes_done;
		progress.bytes_total = shared->bytes_total;
	}
	pthread_mutex_unlock(&shared->lock);
	if (progress.bytes_done)
		cf_ctx_progress(check->repo->ctx, "check.progress", &progress);
}

/* It went since it was listed: nothing can be said of it but what was known before it was. */
static void note_gone(struct cf_check *check, struct cf_checked_pack *pack, struct cf_err *err)
{
	pthread_mutex_lock(&check->lock);
	pack->is_gone = true;
	pack->is_bad = false;
	check->n_gone++;
	pthread_mutex_unlock(&check->lock);
	cf_err_clear(err);
}

/* The first pack is read however little time there is, so that checks get on. */
static bool is_late(const struct pack_job *job)
{
	const struct shared *shared = job->shared;

	return shared->end_ns && !job->is_first && cf_ctx_now_ns(job->check->repo->ctx) >= shared->end_ns;
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct pack_job *job = (struct pack_job *)cf_job;
	struct shared *shared = job->shared;
	struct cf_err err = CF_ERR_INIT;
	bool is_read = !is_late(job), is_good;
	int rc;

	(void)worker;
	rc = cf_failure_code(&shared->failure);
	is_read = is_read && rc == 0;
	if (is_read)
		rc = cf_check_read_pack(job->check, job->pack, &err);
	if (is_read && rc == CF_ERR_NOT_FOUND) {
		note_gone(job->check, job->pack, &err);
		is_read = false;
		rc = 0;
	}
	is_good = rc == 0;
	rc = cf_check_judge(job->check, cf_pack_name(&job->pack->name).s, rc, &err);
	cf_failure_note(&shared->failure, rc, &err);
	report(job, is_read && rc == 0, is_good);
	free(job);
}

static int submit(struct cf_check *check, struct cf_checked_pack *pack, bool is_first, struct shared *shared,
		  struct cf_err *err)
{
	struct pack_job *job;
	int rc = cf_ctx_check(check->repo->ctx, err);

	if (rc < 0)
		return rc;
	job = calloc(1, sizeof(*job));
	if (!job)
		return cf_err_nomem(err);
	*job = (struct pack_job){
		.job.run = run_job, .check = check, .pack = pack, .is_first = is_first, .shared = shared};
	cf_pool_submit(check->repo->pool, &job->job);
	return 0;
}

int cf_check_packs(struct cf_check *check, const struct cf_check_options *options, struct cf_err *err)
{
	struct shared shared = {.end_ns = 0};
	struct cf_checked_pack **packs = NULL;
	size_t n = 0;
	int rc = cf_check_choose(check, options, &packs, &n, err);

	if (rc < 0)
		return rc;
	if (options->max_duration_ns)
		shared.end_ns = cf_ctx_now_ns(check->repo->ctx) + options->max_duration_ns;
	pthread_mutex_init(&shared.lock, NULL);
	cf_failure_init(&shared.failure);
	for (size_t i = 0; i < n; i++)
		shared.bytes_total += packs[i]->size;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (i > 0 && shared.end_ns && cf_ctx_now_ns(check->repo->ctx) >= shared.end_ns)
			break;
		rc = submit(check, packs[i], i == 0, &shared, err);
	}
	cf_pool_wait(check->repo->pool);
	if (rc == 0)
		rc = cf_failure_report(&shared.failure, err);
	pthread_mutex_destroy(&shared.lock);
	cf_failure_release(&shared.failure);
	free(packs);
	return rc;
}
