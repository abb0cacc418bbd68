#include "repo/prune_parts.h"

#include "base/array.h"
#include "base/failure.h"
#include "repo/blob.h"
#include "repo/chunks.h"
#include "repo/pack_reader.h"
#include "repo/verified.h"

#include <stdlib.h>

/*
 * Before a pack goes, what is needed of it is read where it is to stay.
 *
 * The index tells where chunks are, but whoever may write can store an index that lies and packs that are not what it says, and what is
 * true once may rot. So for every needed chunk in a pack that is to go, by the pack's own table, the home is read, decoded and held
 * against its id; and so for every needed chunk of which a copy is a delta against something in such a pack. Where that fails the pack
 * stays, and the one that failed is nobody's home from then on.
 */

enum {
	LEAVING_MAX = 1 << 20 /* chunks of packs that are to go, in one pass through the index */
};

/* A needed chunk that loses a copy. */
struct stake {
	struct cf_id id;
	uint32_t home; /* which of the packs */
	bool is_indirect; /* only what a copy of it is a delta against goes */
	bool is_there;	  /* by the home's own table */
	bool is_good;
};

struct verify {
	struct cf_prune *p;
	struct cf_err *err;
	size_t first, end; /* the packs of this pass */
	struct cf_id_set leaving; /* chunks in those of them that are to go */
	struct cf_id_set shut;	  /* those whose tables cannot be read */
	struct stake *stakes;
	size_t n_stakes, capacity;
	struct cf_id_set unsafe; /* no pack may go that has one of these */
	bool keeps_all;
	pthread_mutex_t lock; /* p->bad */
	struct cf_failure failure;
};

struct verify_job {
	struct cf_job job;
	struct verify *v;
	struct stake *stakes; /* of one home, by id */
	size_t n;
};

static bool is_damage(int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND || rc == CF_ERR_UNSUPPORTED;
}

static int add(struct cf_id_set *set, const struct cf_id *id, struct cf_err *err)
{
	return cf_id_set_add(set, id) < 0 ? cf_err_nomem(err) : 0;
}

/* What its own table says is in a pack. One that cannot be read is left for the index to tell of. */
static int collect_leaving(struct verify *v, const struct cf_prune_pack *pack, struct cf_err *err)
{
	struct cf_segment_pack own = {0};
	int rc = cf_pack_read_table(v->p->repo, &pack->name, pack->size, &own, err);

	for (size_t i = 0; rc == 0 && i < own.table.n_chunks; i++)
		rc = add(&v->leaving, &own.table.chunks[i].id, err);
	cf_pack_table_release(&own.table);
	if (!is_damage(rc))
		return rc;
	cf_err_clear(err);
	return add(&v->shut, &pack->name, err);
}

static int note_shut(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct verify *v = user;

	return cf_id_set_has(&v->shut, &place->pack) ? add(&v->leaving, id, v->err) : 0;
}

static int keep_copies(struct verify *v, const struct cf_id *id, const struct cf_location *copies, size_t n)
{
	int rc = add(&v->unsafe, id, v->err);

	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; rc == 0 && k < copies[i].bases.n; k++)
			rc = add(&v->unsafe, &copies[i].bases.ids[k], v->err);
	return rc;
}

static bool loses_base(const struct verify *v, const struct cf_location *home, const struct cf_location *copies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; &copies[i] != home && k < copies[i].bases.n; k++)
			if (cf_id_set_has(&v->leaving, &copies[i].bases.ids[k]))
				return true;
	return false;
}

static int note_stake(void *user, const struct cf_id *id, const struct cf_location *home, const struct cf_location *copies, size_t n)
{
	struct verify *v = user;
	bool is_leaving = cf_id_set_has(&v->leaving, id);
	int rc;

	if (!is_leaving && !loses_base(v, home, copies, n))
		return 0;
	if (!home)
		return keep_copies(v, id, copies, n);
	rc = cf_array_grow(&v->stakes, &v->capacity, v->n_stakes, sizeof(*v->stakes), v->err);
	if (rc < 0)
		return rc;
	v->stakes[v->n_stakes++] = (struct stake){.id = *id,
						  .home = (uint32_t)(cf_prune_find_pack(v->p, &home->pack) - v->p->packs),
						  .is_indirect = !is_leaving};
	return 0;
}

static int compare_stakes(const void *x, const void *y)
{
	const struct stake *a = x, *b = y;

	if (a->home != b->home)
		return a->home < b->home ? -1 : 1;
	return cf_id_compare(&a->id, &b->id);
}

static struct stake *find_stake(const struct verify_job *job, const struct cf_id *id)
{
	const struct stake key = {.id = *id, .home = job->stakes[0].home};

	return bsearch(&key, job->stakes, job->n, sizeof(key), compare_stakes);
}

/* True when there is one among these. */
static bool note_there(const struct verify_job *job, const struct cf_table_chunk *chunks, uint32_t n)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		struct stake *stake = find_stake(job, &chunks[i].id);

		if (stake)
			any = stake->is_there = true;
	}
	return any;
}

static int compare_ids(struct verify_job *job, enum cf_object_type type, const struct cf_table_chunk *chunks, uint32_t n,
		       const struct cf_buf *raw, struct cf_err *err)
{
	size_t off = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < n; off += chunks[i++].raw_len) {
		struct stake *stake = find_stake(job, &chunks[i].id);

		if (!stake)
			continue;
		rc = cf_blob_check_ids(job->v->p->repo, type, &chunks[i], 1, raw->data + off, err);
		stake->is_good |= rc == 0;
	}
	return rc;
}

/* A delta whose bases cannot be read is not the fault of its pack: 0, and its chunk is not good. */
static int read_blob(struct verify_job *job, const struct cf_segment_pack *pack, const struct cf_table_blob *blob,
		     struct cf_coder_slot *slot, struct cf_err *err)
{
	const struct cf_table_chunk *chunks = &pack->table.chunks[blob->first_chunk];
	struct cf_repo *repo = job->v->p->repo;
	struct cf_prefix base = {0};
	int rc = 0;

	if (blob->codec == CF_CODEC_ZSTD_DELTA)
		rc = cf_prefix_read(repo, &chunks[0].bases, &base, err);
	if (is_damage(rc)) {
		cf_err_clear(err);
		return 0;
	}
	cf_buf_clear(&slot->sealed);
	if (rc == 0)
		rc = cf_pack_read_blob(repo, &pack->name, blob->off, blob->len, blob->number, &slot->sealed, err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), base.bytes, cf_blob_raw_len(chunks, blob->n_chunks), &slot->raw, err);
	if (rc == 0)
		rc = compare_ids(job, pack->type, chunks, blob->n_chunks, &slot->raw, err);
	cf_prefix_release(repo, &base);
	return rc;
}

/* This pack is no home: not in this run, nor, as far as this host remembers, in later ones. */
static int give_up(struct verify *v, const struct cf_prune_pack *pack, struct cf_err *err)
{
	struct cf_prune *p = v->p;
	int rc;

	pthread_mutex_lock(&v->lock);
	rc = cf_id_set_add(&p->bad, &pack->name);
	if (rc == 1)
		cf_verified_note(p->verified, &pack->name, cf_ctx_now_ns(p->repo->ctx), false);
	pthread_mutex_unlock(&v->lock);
	if (rc == 1)
		cf_ctx_warn(p->repo->ctx, "prune.damaged", cf_pack_name(&pack->name).s,
			    "%s is not what the index says, so other copies of what it is to hold stay; coffer check --read-data "
			    "tells more",
			    cf_pack_name(&pack->name).s);
	return rc < 0 ? cf_err_nomem(err) : 0;
}

/* The stakes of one home, in the place its own table gives them. */
static int read_home(struct verify_job *job, struct cf_err *err)
{
	const struct cf_prune_pack *pack = &job->v->p->packs[job->stakes[0].home];
	struct cf_repo *repo = job->v->p->repo;
	struct cf_segment_pack own = {0};
	struct cf_coder_slot *slot = NULL;
	bool is_bad;
	int rc = cf_repo_take_coder(repo, &slot, err);

	if (rc < 0)
		return rc;
	rc = cf_pack_read_table(repo, &pack->name, pack->size, &own, err);
	is_bad = is_damage(rc);
	for (size_t i = 0; rc == 0 && i < own.table.n_blobs; i++) {
		const struct cf_table_blob *blob = &own.table.blobs[i];

		rc = cf_ctx_check(repo->ctx, err);
		if (rc < 0 || !note_there(job, &own.table.chunks[blob->first_chunk], blob->n_chunks))
			continue;
		rc = read_blob(job, &own, blob, slot, err);
		if (!is_damage(rc))
			continue;
		is_bad = true; /* what else is there may be good */
		cf_err_clear(err);
		rc = 0;
	}
	cf_repo_give_coder(repo, slot);
	for (size_t i = 0; rc == 0 && i < job->n; i++)
		is_bad |= !job->stakes[i].is_there;
	cf_pack_table_release(&own.table);
	if (is_damage(rc)) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc == 0 && is_bad ? give_up(job->v, pack, err) : rc;
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct verify_job *job = (struct verify_job *)cf_job;
	struct verify *v = job->v;
	struct cf_err err = CF_ERR_INIT;

	(void)worker;
	if (cf_failure_code(&v->failure) == 0)
		cf_failure_note(&v->failure, read_home(job, &err), &err);
	if (v->p->lease)
		cf_lease_renew(v->p->lease);
	free(job);
}

static int read_homes(struct verify *v, struct cf_err *err)
{
	int rc = 0;

	if (v->n_stakes)
		qsort(v->stakes, v->n_stakes, sizeof(*v->stakes), compare_stakes);
	for (size_t i = 0, n; rc == 0 && i < v->n_stakes; i += n) {
		struct verify_job *job = calloc(1, sizeof(*job));

		for (n = 1; i + n < v->n_stakes && v->stakes[i + n].home == v->stakes[i].home;)
			n++;
		if (!job) {
			rc = cf_err_nomem(err);
			break;
		}
		*job = (struct verify_job){.job.run = run_job, .v = v, .stakes = &v->stakes[i], .n = n};
		cf_pool_submit(v->p->repo->pool, &job->job);
	}
	cf_pool_wait(v->p->repo->pool);
	return rc < 0 ? rc : cf_failure_report(&v->failure, err);
}

/* 1 when the pack has something that may be nowhere else. */
static int is_unsafe(struct verify *v, const struct cf_prune_pack *pack, struct cf_err *err)
{
	struct cf_segment_pack own = {0};
	int rc;

	if (v->keeps_all || cf_id_set_has(&v->shut, &pack->name))
		return 1;
	rc = cf_pack_read_table(v->p->repo, &pack->name, pack->size, &own, err);
	for (size_t i = 0; rc == 0 && i < own.table.n_chunks; i++)
		rc = cf_id_set_has(&v->unsafe, &own.table.chunks[i].id);
	cf_pack_table_release(&own.table);
	if (is_damage(rc)) { /* it could be read a moment ago */
		cf_err_clear(err);
		rc = 1;
	}
	return rc;
}

static int keep_unsafe(struct verify *v, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < v->n_stakes; i++) {
		if (v->stakes[i].is_good)
			continue;
		v->keeps_all |= v->stakes[i].is_indirect;
		rc = add(&v->unsafe, &v->stakes[i].id, err);
	}
	for (size_t i = v->first; rc == 0 && v->unsafe.n && i < v->end; i++) {
		struct cf_prune_pack *pack = &v->p->packs[i];

		if (!pack->is_going)
			continue;
		rc = is_unsafe(v, pack, err);
		if (rc <= 0)
			continue;
		pack->is_going = false;
		pack->is_kept_back = true;
		v->p->figures->packs_kept_back++;
		rc = 0;
	}
	return rc;
}

/* Some of the packs that are to go, from v->first on. */
static int run_pass(struct verify *v, struct cf_err *err)
{
	struct cf_prune *p = v->p;
	int rc = 0;

	for (v->end = v->first; rc == 0 && v->end < p->n_packs && v->leaving.n < LEAVING_MAX; v->end++) {
		rc = cf_ctx_check(p->repo->ctx, err);
		if (rc == 0 && p->packs[v->end].is_going)
			rc = collect_leaving(v, &p->packs[v->end], err);
		if (p->lease)
			cf_lease_renew(p->lease);
	}
	if (rc == 0 && v->shut.n)
		rc = cf_catalog_each(p->repo->catalog, note_shut, v, err);
	if (rc == 0 && v->leaving.n)
		rc = cf_prune_each_home(p, note_stake, v, err);
	if (rc == 0)
		rc = read_homes(v, err);
	return rc < 0 ? rc : keep_unsafe(v, err);
}

int cf_prune_verify(struct cf_prune *p, struct cf_err *err)
{
	size_t first = 0;
	int rc = 0;

	while (rc == 0 && first < p->n_packs) {
		struct verify v = {.p = p, .err = err, .first = first};

		pthread_mutex_init(&v.lock, NULL);
		cf_failure_init(&v.failure);
		rc = run_pass(&v, err);
		first = v.end;
		pthread_mutex_destroy(&v.lock);
		cf_failure_release(&v.failure);
		cf_id_set_release(&v.leaving);
		cf_id_set_release(&v.shut);
		cf_id_set_release(&v.unsafe);
		free(v.stakes);
	}
	return rc;
}
