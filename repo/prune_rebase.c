#include "repo/prune_families.h"

#include "base/array.h"
#include "base/failure.h"
#include "repo/blob.h"
#include "repo/chunks.h"

#include <stdlib.h>

/* Moving deltas to new bases: first what is to be a base is stored whole, then the deltas against that. The old copies stay: the plan
 * finds the new ones better, and the old bases needless. */

enum {
	CHUNKS_MAX = 1 << 18, /* stored anew in one run: 130 bytes of memory each */
	JOB_CHUNKS = 64
};

/* A delta that is to be stored anew. */
struct delta {
	struct cf_id id;
	struct cf_bases bases;
	uint64_t pack; /* the beginning of its name. Deltas are taken in the order in which they lie there */
	uint32_t number;
	uint32_t raw_len;
	bool is_centre;
};

struct rebase {
	struct cf_prune *p;
	struct cf_err *err;
	struct cf_families families;
	struct delta *deltas;
	size_t n_deltas, deltas_capacity;

	struct cf_packer *packer;
	struct cf_failure failure;
};

struct rebase_job {
	struct cf_job job;
	struct rebase *r;
	size_t from, to;
	bool centres;
};

static int add_delta(struct rebase *r, const struct cf_id *id, const struct cf_location *home, bool is_centre)
{
	int rc = cf_array_grow(&r->deltas, &r->deltas_capacity, r->n_deltas, sizeof(*r->deltas), r->err);

	if (rc < 0)
		return rc;
	r->deltas[r->n_deltas++] = (struct delta){.id = *id,
						  .bases = home->bases,
						  .pack = cf_le64_get(home->pack.bytes),
						  .number = home->number,
						  .raw_len = home->raw_len,
						  .is_centre = is_centre};
	return 0;
}

/* How many of the families in which a copy is a delta are to be moved. *is_centre_out: its chunk is to be the base of one. */
static unsigned find_families(struct rebase *r, const struct cf_id *id, const struct cf_location *copy, bool *is_centre_out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < copy->bases.n; i++) {
		struct cf_family *family = cf_families_find(&r->families, &copy->bases.ids[i]);

		if (!family)
			continue;
		n++;
		if (family->centre_name == cf_family_name(id)) {
			family->centre = *id;
			*is_centre_out = true;
		}
	}
	return n;
}

static int note_delta(void *user, const struct cf_id *id, const struct cf_location *home, const struct cf_location *copies,
		      size_t n)
{
	struct rebase *r = user;
	bool is_centre = false;

	if (!home || home->pack_type != CF_OBJECT_DATA_PACK)
		return 0;
	if (home->bases.n)
		return find_families(r, id, home, &is_centre) ? add_delta(r, id, home, is_centre) : 0;
	for (size_t i = 0; i < n && !cf_prune_is_old_base(r->p, id); i++)
		find_families(r, id, &copies[i], &is_centre);
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct delta *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The centres of the families instead of the old bases. *whole_len_out: what the chunk would take by itself, about. */
static struct cf_bases new_bases(const struct rebase *r, const struct delta *delta, uint32_t *whole_len_out, bool *may_stay_out)
{
	struct cf_bases bases = {.n = 0};

	*whole_len_out = 0;
	*may_stay_out = false;
	for (unsigned i = 0; i < delta->bases.n; i++) {
		const struct cf_family *family = cf_families_find(&r->families, &delta->bases.ids[i]);
		struct cf_id id = family ? family->centre : delta->bases.ids[i];

		if (family && family->base_len > *whole_len_out)
			*whole_len_out = family->base_len;
		*may_stay_out |= family && family->has_centre;
		if (bases.n == 0 || !cf_id_equal(&bases.ids[0], &id))
			bases.ids[bases.n++] = id;
	}
	return bases;
}

/*
 * 1: stored as a delta against the new bases, or left as it is. 0: that would hardly be shorter than the chunk by itself, which is to be stored, as its
 * old base goes. Where a base that was there before was tried the delta stays as it is instead.
 */
static int store_delta(struct rebase *r, const struct delta *delta, struct cf_span plain, struct cf_coder_slot *slot,
		       struct cf_err *err)
{
	uint32_t whole_len;
	bool may_stay;
	struct cf_table_chunk entry = {
		.id = delta->id, .bases = new_bases(r, delta, &whole_len, &may_stay), .raw_len = delta->raw_len};
	struct cf_prefix prefix = {0};
	ssize_t len = 0;
	int rc = cf_prefix_read(r->p->repo, &entry.bases, &prefix, err);

	cf_buf_clear(&slot->payload);
	if (rc == 0)
		len = cf_codec_compress(&slot->coder, CF_DELTA_LEVEL, prefix.bytes, plain, &slot->payload, err);
	if (rc == 0 && len < 0)
		rc = (int)len;
	if (rc == 0 && 2 * ((uint64_t)len + CF_DELTA_LEN_MIN) < whole_len) {
		rc = cf_blob_store(r->packer, slot, CF_OBJECT_DATA_PACK, CF_CODEC_ZSTD_DELTA, cf_buf_span(&slot->payload),
				   prefix.bytes, plain, &entry, 1, err);
		if (rc == 0)
			rc = 1;
	} else if (rc == 0) {
		rc = may_stay;
	}
	cf_prefix_release(r->p->repo, &prefix);
	return rc;
}

static int store_chunk(struct rebase *r, const struct delta *delta, struct cf_prune_frame *frame, struct cf_buf *plain,
		       struct cf_coder_slot *slot, struct cf_err *err)
{
	const struct cf_table_chunk entry = {.id = delta->id, .bases = delta->bases, .raw_len = delta->raw_len};
	int rc = cf_ctx_check(r->p->repo->ctx, err);

	cf_buf_clear(plain);
	if (rc == 0)
		rc = cf_chunk_read(r->p->repo, &delta->id, plain, err);
	if (rc == 0 && !delta->is_centre)
		rc = store_delta(r, delta, cf_buf_span(plain), slot, err);
	if (rc == 0)
		rc = cf_prune_frame_add(r->p, r->packer, frame, &entry, cf_buf_span(plain), slot, err);
	return rc < 0 ? rc : 0;
}

static int store_chunks(const struct rebase_job *job, struct cf_err *err)
{
	struct rebase *r = job->r;
	struct cf_prune_frame frame = {.type = CF_OBJECT_DATA_PACK};
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_coder_slot *slot = NULL;
	int rc = cf_repo_take_coder(r->p->repo, &slot, err);

	for (size_t i = job->from; rc == 0 && i < job->to; i++)
		if (r->deltas[i].is_centre == job->centres)
			rc = store_chunk(r, &r->deltas[i], &frame, &plain, slot, err);
	if (rc == 0)
		rc = cf_prune_frame_store(r->packer, &frame, slot, err);
	if (slot)
		cf_repo_give_coder(r->p->repo, slot);
	cf_prune_frame_release(&frame);
	cf_buf_release(&plain);
	return rc;
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct rebase_job *job = (struct rebase_job *)cf_job;
	struct rebase *r = job->r;
	struct cf_err err = CF_ERR_INIT;

	(void)worker;
	if (cf_failure_code(&r->failure) == 0)
		cf_failure_note(&r->failure, store_chunks(job, &err), &err);
	if (r->p->lease)
		cf_lease_renew(r->p->lease);
	free(job);
}

static int run_jobs(struct rebase *r, bool centres, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n_deltas; i += JOB_CHUNKS) {
		struct rebase_job *job = calloc(1, sizeof(*job));

		if (!job) {
			rc = cf_err_nomem(err);
			break;
		}
		*job = (struct rebase_job){.job.run = run_job, .r = r, .from = i, .to = i + JOB_CHUNKS, .centres = centres};
		if (job->to > r->n_deltas)
			job->to = r->n_deltas;
		cf_pool_submit(r->p->repo->pool, &job->job);
	}
	cf_pool_wait(r->p->repo->pool);
	return rc < 0 ? rc : cf_failure_report(&r->failure, err);
}

/* Store the centres, or then what is against them: never a delta before its base. */
static int store_all(struct rebase *r, bool centres, struct cf_err *err)
{
	const struct cf_packer_options packing = {0};
	int rc = cf_packer_new(r->p->repo, &packing, &r->packer, err);

	if (rc < 0)
		return rc;
	rc = run_jobs(r, centres, err);
	if (rc == 0)
		rc = cf_packer_finish(r->packer, err);
	r->p->figures->bytes_written += cf_packer_stored(r->packer);
	cf_packer_free(r->packer);
	return rc;
}

static int rebase(struct rebase *r, struct cf_err *err)
{
	int rc = cf_prune_each_home(r->p, note_delta, r, err);

	if (rc < 0 || r->n_deltas == 0)
		return rc;
	r->p->figures->chunks_rebased = r->n_deltas;
	if (r->p->options->dry_run)
		return 0;
	qsort(r->deltas, r->n_deltas, sizeof(*r->deltas), compare_places);
	cf_failure_init(&r->failure);
	rc = store_all(r, true, err);
	if (rc == 0)
		rc = store_all(r, false, err);
	cf_failure_release(&r->failure);
	return rc < 0 ? rc : cf_prune_plan(r->p, err);
}

int cf_prune_rebase(struct cf_prune *p, struct cf_err *err)
{
	struct rebase r = {.p = p, .err = err};
	int rc = cf_families_choose(p, CHUNKS_MAX, &r.families, err);

	if (rc == 0 && r.families.n)
		rc = rebase(&r, err);
	free(r.families.items);
	free(r.deltas);
	return rc;
}
