#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/pack_reader.h"

#include <sodium.h>
#include <stdlib.h>

/* Reading packs: their bytes against their name, their table, and every chunk in them against its id. */

enum {
	REPORT_NS = 200000000
};

struct pack_job {
	struct cf_job job;
	struct cf_check *check;
	const struct cf_checked_pack *pack;
	struct shared {
		pthread_mutex_t lock;
		int rc; /* what ends the check */
		struct cf_err err;
		uint64_t bytes_done, bytes_total;
		int64_t reported_ns;
	} *shared;
};

/* The plain text of a blob, delta or not. */
static int decode_blob(struct cf_check *check, struct cf_coder_slot *slot, const struct cf_segment_pack *pack,
		       const struct cf_table_blob *blob, struct cf_err *err)
{
	const struct cf_table_chunk *chunks = &pack->table.chunks[blob->first_chunk];
	struct cf_buf base = CF_BUF_INIT;
	size_t raw_len = 0;
	int rc = 0;

	for (uint32_t i = 0; i < blob->n_chunks; i++)
		raw_len += chunks[i].raw_len;
	if (blob->codec == CF_CODEC_ZSTD_DELTA)
		rc = cf_bases_read(check->repo, &chunks[0].bases, &base, err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), cf_buf_span(&base), raw_len,
				     &slot->raw, err);
	cf_buf_release(&base);
	return rc;
}

static int check_ids(struct cf_check *check, const struct cf_coder_slot *slot, const struct cf_segment_pack *pack,
		     const struct cf_table_blob *blob, struct cf_err *err)
{
	size_t off = 0;

	for (uint32_t i = 0; i < blob->n_chunks; i++) {
		const struct cf_table_chunk *chunk = &pack->table.chunks[blob->first_chunk + i];
		struct cf_id found;
		int rc = cf_chunk_id(check->repo, pack->type, cf_span_of(slot->raw.data + off, chunk->raw_len),
				     &found, err);

		if (rc < 0)
			return rc;
		if (!cf_id_equal(&found, &chunk->id))
			return cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s is not what its id says",
					  cf_id_text(&chunk->id).s);
		off += chunk->raw_len;
	}
	return 0;
}

static int check_blobs(struct cf_check *check, struct cf_span bytes, const struct cf_segment_pack *pack,
		       const struct cf_seal_place *place, struct cf_span key, struct cf_err *err)
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
			rc = decode_blob(check, slot, pack, blob, err);
		if (rc == 0)
			rc = check_ids(check, slot, pack, blob, err);
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

static int check_pack(struct cf_check *check, const struct cf_checked_pack *listed, struct cf_err *err)
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
		rc = check_blobs(check, whole, &pack, &place, cf_secret_span(key), err);
	if (rc == 0)
		rc = check_index(check, &pack, err);
	cf_pack_table_release(&pack.table);
	cf_secret_free(key);
	cf_buf_release(&bytes);
	return rc;
}

static void report(struct pack_job *job)
{
	struct shared *shared = job->shared;
	int64_t now = cf_ctx_now_ns(job->check->repo->ctx);
	struct cf_progress progress = {0};

	pthread_mutex_lock(&shared->lock);
	shared->bytes_done += job->pack->size;
	if (now - shared->reported_ns >= REPORT_NS) {
		shared->reported_ns = now;
		progress.bytes_done = shared->bytes_done;
		progress.bytes_total = shared->bytes_total;
	}
	pthread_mutex_unlock(&shared->lock);
	if (progress.bytes_done)
		cf_ctx_progress(job->check->repo->ctx, "check.progress", &progress);
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct pack_job *job = (struct pack_job *)cf_job;
	struct shared *shared = job->shared;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	(void)worker;
	pthread_mutex_lock(&shared->lock);
	rc = shared->rc;
	pthread_mutex_unlock(&shared->lock);
	if (rc == 0)
		rc = check_pack(job->check, job->pack, &err);
	rc = cf_check_judge(job->check, cf_pack_name(&job->pack->name).s, rc, &err);
	pthread_mutex_lock(&shared->lock);
	if (rc < 0 && shared->rc == 0) {
		shared->rc = rc;
		shared->err = err;
	}
	pthread_mutex_unlock(&shared->lock);
	report(job);
	free(job);
}

/* A sample without replacement: each pack left is taken with the chance that makes the number come out. */
static bool is_drawn(size_t n_wanted, size_t n_left)
{
	return n_wanted >= n_left || randombytes_uniform((uint32_t)n_left) < n_wanted;
}

static size_t share(size_t n, double percent)
{
	size_t wanted = (size_t)((double)n * percent / 100.0 + 0.9999);

	return wanted > n ? n : wanted;
}

int cf_check_packs(struct cf_check *check, double percent, struct cf_err *err)
{
	struct shared shared = {.err = CF_ERR_INIT};
	size_t n_wanted = share(check->n_packs, percent);
	int rc = 0;

	pthread_mutex_init(&shared.lock, NULL);
	for (size_t i = 0; i < check->n_packs; i++)
		shared.bytes_total += (uint64_t)((double)check->packs[i].size * percent / 100.0);
	for (size_t i = 0; rc == 0 && i < check->n_packs; i++) {
		struct pack_job *job;

		if (!is_drawn(n_wanted, check->n_packs - i))
			continue;
		n_wanted--;
		rc = cf_ctx_check(check->repo->ctx, err);
		if (rc < 0)
			break;
		job = calloc(1, sizeof(*job));
		if (!job) {
			rc = cf_err_nomem(err);
			break;
		}
		*job = (struct pack_job){
			.job.run = run_job, .check = check, .pack = &check->packs[i], .shared = &shared};
		check->figures.packs_read++;
		check->figures.bytes_read += check->packs[i].size;
		cf_pool_submit(check->repo->pool, &job->job);
	}
	cf_pool_wait(check->repo->pool);
	if (rc == 0 && shared.rc < 0) {
		rc = shared.rc;
		*err = shared.err;
	}
	pthread_mutex_destroy(&shared.lock);
	return rc;
}
