#include "repo/prune_parts.h"

#include "base/failure.h"
#include "repo/blob.h"
#include "repo/chunks.h"
#include "repo/pack_reader.h"
#include "repo/packer.h"

#include <stdlib.h>

/*
 * Copying what is needed out of packs that are mostly waste, or that an earlier run condemned. A blob that is needed whole is sealed
 * again as it is; of others the needed chunks go into new frames. Either way everything is decoded and held against its ids first.
 */

enum {
	SMALL_PACK_LEN = 8 << 20, /* packs below are joined when there are many */
	SMALL_PACKS_MAX = 16
};

struct repack {
	struct cf_prune *p;
	struct cf_packer *packer;
	struct cf_failure failure;
	pthread_mutex_t lock;
	struct cf_id_set taken; /* chunks that have nowhere to stay, and are being copied. Under the lock */
};

struct pack_job {
	struct cf_job job;
	struct repack *repack;
	const struct cf_prune_pack *pack;
};

/* 1 when the chunk is needed and this pack is where it is to be taken from. */
static int is_to_copy(struct repack *r, const struct cf_prune_pack *pack, const struct cf_id *id, struct cf_err *err)
{
	struct cf_prune *p = r->p;
	struct cf_location home;
	int rc;

	if (!cf_live_has(&p->live, pack->type == CF_OBJECT_TREE_PACK, id) && !cf_id_set_has(&p->bases, id))
		return 0;
	rc = cf_prune_find_home(p, id, &home, err);
	if (rc != 0)
		return rc < 0 ? rc : cf_id_equal(&home.pack, &pack->name);
	/* Nowhere to stay: wherever it is met first, and only there, lest a new pack hold it twice. */
	pthread_mutex_lock(&r->lock);
	rc = cf_id_set_add(&r->taken, id);
	pthread_mutex_unlock(&r->lock);
	return rc < 0 ? cf_err_nomem(err) : rc;
}

/* Whether each chunk of a blob is to be copied. n_out: how many. */
static int select_chunks(struct repack *r, const struct cf_prune_pack *pack, const struct cf_table_chunk *chunks, uint32_t n,
			 bool *selected, uint32_t *n_out, struct cf_err *err)
{
	*n_out = 0;
	for (uint32_t i = 0; i < n; i++) {
		int rc = is_to_copy(r, pack, &chunks[i].id, err);

		if (rc < 0)
			return rc;
		selected[i] = rc == 1;
		*n_out += selected[i];
	}
	return 0;
}

/* The plain bytes of all chunks of a blob, each held against its id: through the readers' way, which knows other copies as well. */
static int read_chunks(struct repack *r, const struct cf_table_chunk *chunks, const bool *selected, uint32_t n,
		       struct cf_prune_frame *frame, struct cf_coder_slot *slot, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		if (!selected[i])
			continue;
		cf_buf_clear(&plain);
		rc = cf_chunk_read(r->p->repo, &chunks[i].id, &plain, err);
		if (rc == 0)
			rc = cf_prune_frame_add(r->p, r->packer, frame, &chunks[i], cf_buf_span(&plain), slot, err);
	}
	cf_buf_release(&plain);
	return rc;
}

/* A blob that is needed as it is, but for its seal. */
static int copy_blob(struct repack *r, const struct cf_segment_pack *pack, const struct cf_table_blob *blob,
		     struct cf_coder_slot *slot, struct cf_err *err)
{
	const struct cf_table_chunk *chunks = &pack->table.chunks[blob->first_chunk];
	struct cf_buf sealed = CF_BUF_INIT, plain = CF_BUF_INIT;
	struct cf_prefix base = {0};
	int rc = cf_pack_read_blob(r->p->repo, &pack->name, blob->off, blob->len, blob->number, &sealed, err);

	if (rc == 0 && blob->codec == CF_CODEC_ZSTD_DELTA)
		rc = cf_prefix_read(r->p->repo, &chunks[0].bases, &base, err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&sealed), base.bytes, cf_blob_raw_len(chunks, blob->n_chunks), &plain,
				     err);
	if (rc == 0)
		rc = cf_blob_check_ids(r->p->repo, pack->type, chunks, blob->n_chunks, plain.data, err);
	if (rc == 0) {
		struct cf_span parts = cf_buf_span(&sealed);

		rc = cf_packer_add(r->packer, pack->type, blob->codec, &parts, 1, chunks, blob->n_chunks, err);
	}
	if (rc == CF_ERR_DAMAGED && !strstr(err->text, cf_pack_name(&pack->name).s))
		cf_err_wrap(err, "%s", cf_pack_name(&pack->name).s);
	cf_buf_release(&sealed);
	cf_buf_release(&plain);
	cf_prefix_release(r->p->repo, &base);
	return rc;
}

static int copy_pack(struct repack *r, const struct cf_prune_pack *pack, struct cf_err *err)
{
	struct cf_segment_pack table = {0};
	struct cf_coder_slot *slot = NULL;
	struct cf_prune_frame frame = {.type = pack->type};
	bool *selected = calloc(UINT16_MAX + 1, sizeof(*selected));
	int rc = selected ? cf_repo_take_coder(r->p->repo, &slot, err) : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_pack_read_table(r->p->repo, &pack->name, pack->size, &table, err);
	for (size_t i = 0; rc == 0 && i < table.table.n_blobs; i++) {
		const struct cf_table_blob *blob = &table.table.blobs[i];
		const struct cf_table_chunk *chunks = &table.table.chunks[blob->first_chunk];
		uint32_t n = 0;

		rc = cf_ctx_check(r->p->repo->ctx, err);
		if (rc == 0)
			rc = select_chunks(r, pack, chunks, blob->n_chunks, selected, &n, err);
		if (rc < 0 || n == 0)
			continue;
		if (n == blob->n_chunks && !pack->is_wanted &&
		    (blob->codec != CF_CODEC_ZSTD_DELTA || !cf_id_set_has(&r->p->bases, &chunks[0].id)))
			rc = copy_blob(r, &table, blob, slot, err);
		else
			rc = read_chunks(r, chunks, selected, blob->n_chunks, &frame, slot, err);
	}
	if (rc == 0)
		rc = cf_prune_frame_store(r->packer, &frame, slot, err);
	if (slot)
		cf_repo_give_coder(r->p->repo, slot);
	cf_pack_table_release(&table.table);
	cf_prune_frame_release(&frame);
	free(selected);
	return rc;
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct pack_job *job = (struct pack_job *)cf_job;
	struct repack *r = job->repack;
	struct cf_err err = CF_ERR_INIT;

	(void)worker;
	if (cf_failure_code(&r->failure) == 0)
		cf_failure_note(&r->failure, copy_pack(r, job->pack, &err), &err);
	if (r->p->lease)
		cf_lease_renew(r->p->lease);
	free(job);
}

static double waste_of(const struct cf_prune_pack *pack)
{
	return (double)pack->unused / ((double)pack->needed + (double)pack->unused + 1);
}

static int compare_waste(const void *a, const void *b)
{
	double x = waste_of(*(struct cf_prune_pack *const *)a), y = waste_of(*(struct cf_prune_pack *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

static bool is_kept(const struct cf_prune_pack *pack)
{
	return pack->is_indexed && !pack->is_condemned && !pack->is_damaged && pack->n_needed > 0;
}

/* The packs with the most waste, until what stays is within the limit; and small ones, when there are many. */
static void choose(struct cf_prune *p, struct cf_prune_pack **kept, size_t n_kept)
{
	uint64_t unused = p->figures->bytes_unused + p->bytes_in_old_bases, limit = cf_prune_unused_limit(p);
	uint64_t copied = p->figures->bytes_rebased;
	size_t n_small[2] = {0};

	for (size_t i = 0; i < n_kept; i++)
		n_small[kept[i]->type == CF_OBJECT_TREE_PACK] += kept[i]->size < SMALL_PACK_LEN;
	if (n_kept)
		qsort(kept, n_kept, sizeof(struct cf_prune_pack *), compare_waste);
	for (size_t i = 0; i < n_kept; i++) {
		struct cf_prune_pack *pack = kept[i];
		bool is_one_of_many_small = pack->size < SMALL_PACK_LEN &&
					    n_small[pack->type == CF_OBJECT_TREE_PACK] > SMALL_PACKS_MAX;

		if ((unused <= limit || pack->unused == 0) && !is_one_of_many_small)
			continue;
		if (p->options->max_repack && copied + pack->size > p->options->max_repack)
			continue;
		pack->is_repacked = true;
		copied += pack->size;
		unused -= pack->unused < unused ? pack->unused : unused;
		p->figures->packs_repacked++;
		p->figures->bytes_repacked += pack->size;
	}
}

/* The data epoch that a pack's key is sealed to. */
static int read_epoch(struct cf_prune *p, const struct cf_prune_pack *pack, uint32_t *epoch_out, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	struct cf_pack_name name = cf_pack_name(&pack->name);
	struct cf_seal_header header;
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = store->ops->get(store, name.s, 0, CF_PACK_HEADER_LEN, &bytes, err);

	if (rc == 0) {
		rc = cf_seal_header_decode(cf_buf_span(&bytes), &header, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", name.s);
		else
			*epoch_out = header.epoch;
	}
	cf_buf_release(&bytes);
	return rc;
}

/* All packs of older epochs, as far as this run may go. */
static int choose_old_epochs(struct cf_prune *p, struct cf_prune_pack **kept, size_t n_kept, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(p->repo->ring);
	uint32_t newest = ring->epochs[ring->n_epochs - 1].number;
	uint64_t limit = p->options->max_repack;

	for (size_t i = 0; i < n_kept; i++) {
		uint32_t epoch = 0;
		int rc = read_epoch(p, kept[i], &epoch, err);

		if (rc < 0)
			return rc;
		if (epoch == newest)
			continue;
		if (kept[i]->is_young || (limit && p->figures->bytes_repacked + kept[i]->size > limit)) {
			p->figures->packs_left++;
			p->figures->bytes_left += kept[i]->size;
			continue;
		}
		kept[i]->is_repacked = true;
		p->figures->packs_repacked++;
		p->figures->bytes_repacked += kept[i]->size;
	}
	return 0;
}

static int copy_all(struct cf_prune *p, struct cf_err *err)
{
	const struct cf_packer_options packing = {0};
	struct repack r = {.p = p};
	int rc = cf_packer_new(p->repo, &packing, &r.packer, err);

	if (rc < 0)
		return rc;
	cf_failure_init(&r.failure);
	pthread_mutex_init(&r.lock, NULL);
	for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
		struct pack_job *job;

		if (!p->packs[i].is_repacked && (!p->packs[i].is_wanted || p->packs[i].is_damaged))
			continue;
		job = calloc(1, sizeof(*job));
		if (!job) {
			rc = cf_err_nomem(err);
			break;
		}
		*job = (struct pack_job){.job.run = run_job, .repack = &r, .pack = &p->packs[i]};
		cf_pool_submit(p->repo->pool, &job->job);
	}
	cf_pool_wait(p->repo->pool);
	if (rc == 0)
		rc = cf_failure_report(&r.failure, err);
	if (rc == 0)
		rc = cf_packer_finish(r.packer, err);
	p->figures->bytes_written += cf_packer_stored(r.packer);
	cf_packer_free(r.packer);
	cf_id_set_release(&r.taken);
	pthread_mutex_destroy(&r.lock);
	cf_failure_release(&r.failure);
	return rc;
}

int cf_prune_repack(struct cf_prune *p, struct cf_err *err)
{
	struct cf_prune_pack **kept = calloc(p->n_packs + 1, sizeof(struct cf_prune_pack *));
	size_t n_kept = 0;
	bool any = false;
	int rc = 0;

	if (!kept)
		return cf_err_nomem(err);
	for (size_t i = 0; i < p->n_packs; i++) {
		p->packs[i].is_repacked = false;
		if (is_kept(&p->packs[i]) && (p->options->reencrypt || !p->packs[i].is_young))
			kept[n_kept++] = &p->packs[i];
	}
	if (p->options->reencrypt)
		rc = choose_old_epochs(p, kept, n_kept, err);
	else
		choose(p, kept, n_kept);
	free(kept);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->n_packs; i++)
		any |= p->packs[i].is_repacked || (p->packs[i].is_wanted && !p->packs[i].is_damaged);
	return any && !p->options->dry_run ? copy_all(p, err) : 0;
}
