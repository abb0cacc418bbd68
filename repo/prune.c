#include "repo/prune.h"

#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/prune_parts.h"
#include "repo/quarantine.h"
#include "repo/verified.h"

#include <stdlib.h>

/* The order of things: see docs/design.md, "Removing packs", whose steps this follows. */

enum {
	TOMB_PACKS_MAX = 100000
};

bool cf_prune_can_remove(const struct cf_prune *p)
{
	const struct cf_backend *store = p->repo->backend;

	return store->ops->remove && (store->caps & CF_BACKEND_CAN_REMOVE) && !p->may_not_remove;
}

int cf_prune_note_refusal(struct cf_prune *p, int rc, struct cf_err *err)
{
	if (rc != CF_ERR_ACCESS && rc != CF_ERR_UNSUPPORTED)
		return rc;
	cf_err_clear(err);
	p->may_not_remove = true;
	return 0;
}

int64_t cf_prune_age(const struct cf_prune *p, int64_t stored_ns)
{
	return p->store_now_ns > stored_ns ? p->store_now_ns - stored_ns : 0;
}

static bool is_stale(const struct cf_prune *p, const struct cf_run *run)
{
	return p->options->now || cf_prune_age(p, run->heard_ns) >= CF_PRUNE_STALE_NS;
}

/* What the store's clock says: its time of the object that this run has just put. A dry run puts none and takes its own clock. */
static int read_clock(struct cf_prune *p, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	int rc;

	p->store_now_ns = cf_ctx_now_ns(p->repo->ctx);
	if (!p->lease)
		return 0;
	rc = store->ops->time(store, cf_object_name(CF_OBJECT_LEASE, cf_lease_fence(p->lease)).s, &p->store_now_ns, err);
	return rc == CF_ERR_NOT_FOUND
		       ? cf_err_set(err, CF_ERR_BUSY, "another prune, told that nothing else is at work, has shut this one out")
		       : rc;
}

/* Another prune that is at work. Not for safety, only because two of them are in each other's way. */
static int refuse_second(struct cf_prune *p, struct cf_err *err)
{
	for (size_t i = 0; !p->options->dry_run && i < p->runs.n; i++) {
		const struct cf_run *run = &p->runs.items[i];

		if (!run->is_prune || run->is_ended || is_stale(p, run) || (p->lease && cf_lease_is_of(p->lease, run)))
			continue;
		return cf_err_set(err, CF_ERR_BUSY,
				  "a prune is at work already, by %s on %s: wait for it; should it have died, it counts no more an "
				  "hour after its last sign of life, or with --now",
				  run->user, run->host);
	}
	return 0;
}

/* A tomb is ripe when its grace is over and all runs know it, have ended, or are shut out. */
static int judge_tomb(struct cf_prune *p, size_t t, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	int64_t stored_ns, left;
	int rc = store->ops->time(store, cf_object_name(CF_OBJECT_TOMB, &p->tombs.items[t].id).s, &stored_ns, err);

	if (rc < 0)
		return rc;
	left = p->options->now ? 0 : p->options->grace_ns - cf_prune_age(p, stored_ns);
	if (left > 0) {
		if (p->figures->next_ns == 0 || left < p->figures->next_ns)
			p->figures->next_ns = left;
		return 0;
	}
	for (size_t i = 0; i < p->runs.n; i++) {
		const struct cf_run *run = &p->runs.items[i];

		if (run->is_prune || run->is_ended || !run->has_fence ||
		    cf_id_set_has(&run->seen, &p->tombs.items[t].id) || is_stale(p, run))
			continue;
		p->figures->runs_waited_for++;
		cf_ctx_note(p->repo->ctx, "prune.waits", run->source,
			    "condemned packs wait for the backup of %s, by %s on %s", run->source, run->user, run->host);
		return 0;
	}
	p->is_ripe[t] = true;
	return 0;
}

/* Runs that do not know all tombs that are ripe; and what is left of those that have ended. */
static int shut_out(struct cf_prune *p, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->runs.n; i++) {
		const struct cf_run *run = &p->runs.items[i];
		bool knows_all = true;

		for (size_t t = 0; t < p->tombs.n; t++)
			knows_all &= !p->is_ripe[t] || cf_id_set_has(&run->seen, &p->tombs.items[t].id);
		if ((knows_all && !run->is_ended) || (p->lease && cf_lease_is_of(p->lease, run)))
			continue;
		if (!p->options->dry_run)
			rc = cf_run_shut_out(p->repo, run, err);
		if (rc < 0 || run->is_prune || run->is_ended)
			continue;
		p->figures->runs_shut_out++;
		cf_ctx_warn(p->repo->ctx, "prune.shut-out", run->source, "the backup of %s, by %s on %s, is given up: it %s",
			    run->source, run->user, run->host,
			    p->options->now ? "must not run beside prune --now" : "gave no sign of life for over an hour");
	}
	return rc;
}

/* The tombs that there are now; ripe are those that were. */
static int reload_tombs(struct cf_prune *p, struct cf_err *err)
{
	struct cf_tombs now = {0};
	bool *is_ripe = NULL;
	int rc = cf_tombs_load(p->repo, &now, err);

	if (rc == 0 && !(is_ripe = calloc(now.n + 1, sizeof(*is_ripe))))
		rc = cf_err_nomem(err);
	if (rc < 0) {
		cf_tombs_release(&now);
		return rc;
	}
	for (size_t i = 0; i < now.n; i++)
		for (size_t k = 0; k < p->tombs.n; k++)
			is_ripe[i] |= p->is_ripe[k] && cf_id_equal(&now.items[i].id, &p->tombs.items[k].id);
	cf_tombs_release(&p->tombs);
	free(p->is_ripe);
	p->tombs = now;
	p->is_ripe = is_ripe;
	return 0;
}

/* Which tombs are ripe; after this no run that relies on their packs can commit any more without having said so. */
static int judge_tombs(struct cf_prune *p, struct cf_err *err)
{
	int rc;

	p->figures->next_ns = 0;
	p->figures->runs_waited_for = 0;
	cf_tombs_release(&p->tombs);
	free(p->is_ripe);
	p->is_ripe = NULL;
	rc = cf_tombs_load(p->repo, &p->tombs, err);
	if (rc < 0)
		return rc;
	p->is_ripe = calloc(p->tombs.n + 1, sizeof(*p->is_ripe));
	if (!p->is_ripe)
		return cf_err_nomem(err);
	/* Only now: a run that began before one of these tombs was stored is among them. */
	cf_runs_release(&p->runs);
	rc = cf_runs_load(p->repo, &p->runs, err);
	if (rc < 0 || !cf_prune_can_remove(p))
		return rc;
	for (size_t t = 0; rc == 0 && t < p->tombs.n; t++)
		rc = judge_tomb(p, t, err);
	if (rc == 0)
		rc = cf_prune_note_refusal(p, shut_out(p, err), err);
	if (p->may_not_remove)
		memset(p->is_ripe, 0, p->tombs.n * sizeof(*p->is_ripe));
	/* Another prune may have condemned what a run that was just shut out relied on: only these say what will stay. */
	return rc < 0 ? rc : reload_tombs(p, err);
}

/* The start of the oldest backup that is at work, by the store's clock. */
static int oldest_fence(struct cf_prune *p, int64_t *oldest_out, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;

	*oldest_out = INT64_MAX;
	for (size_t i = 0; i < p->runs.n; i++) {
		const struct cf_run *run = &p->runs.items[i];
		int64_t begun_ns;
		int rc;

		if (run->is_prune || run->is_ended || !run->has_fence || is_stale(p, run))
			continue;
		rc = store->ops->time(store, cf_object_name(CF_OBJECT_LEASE, &run->fence).s, &begun_ns, err);
		if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			continue;
		}
		if (rc < 0)
			return rc;
		if (begun_ns < *oldest_out)
			*oldest_out = begun_ns;
	}
	return 0;
}

/* Packs that backups at work have stored look unneeded yet. Left alone only to save work: were they condemned, prune would find out. */
static int find_young(struct cf_prune *p, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	int64_t oldest_ns, stored_ns;
	int rc = oldest_fence(p, &oldest_ns, err);

	for (size_t i = 0; rc == 0 && oldest_ns != INT64_MAX && i < p->n_packs; i++) {
		struct cf_prune_pack *pack = &p->packs[i];

		if (pack->is_condemned || (pack->unused == 0 && !p->options->reencrypt))
			continue;
		rc = store->ops->time(store, cf_pack_name(&pack->name).s, &stored_ns, err);
		if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			rc = 0;
			continue;
		}
		pack->is_young = rc == 0 && stored_ns >= oldest_ns;
	}
	return rc;
}

static void count(struct cf_prune *p)
{
	struct cf_prune_figures *f = p->figures;

	f->packs = p->n_packs;
	f->bytes = f->bytes_needed = f->bytes_unused = f->packs_young = f->packs_unknown = 0;
	for (size_t i = 0; i < p->n_packs; i++) {
		const struct cf_prune_pack *pack = &p->packs[i];

		f->bytes += pack->size;
		f->bytes_needed += pack->needed;
		if (!pack->is_condemned && pack->n_needed > 0)
			f->bytes_unused += pack->unused;
		f->packs_young += pack->is_young && pack->n_needed == 0;
		f->packs_unknown += !pack->is_indexed && !pack->is_condemned;
	}
}

/* What the listing gives away by the way. */
static void warn_short(const struct cf_prune *p)
{
	for (size_t i = 0; i < p->n_packs; i++)
		if (p->packs[i].is_short)
			cf_ctx_warn(p->repo->ctx, "prune.damaged", cf_pack_name(&p->packs[i].name).s,
				    "%s is shorter than it was: coffer check tells what is lost",
				    cf_pack_name(&p->packs[i].name).s);
}

static bool is_to_condemn(const struct cf_prune_pack *pack, bool with_traces)
{
	if (!pack->is_indexed || pack->is_condemned || pack->is_wanted || pack->is_young || pack->is_kept_back)
		return false;
	if (pack->has_trace && !with_traces)
		return false;
	return pack->n_needed == 0 || pack->is_repacked;
}

/* packs are borrowed. */
static int put_tomb(struct cf_prune *p, struct cf_id *packs, size_t n, struct cf_err *err)
{
	struct cf_tomb_doc doc = {.time_ns = cf_ctx_now_ns(p->repo->ctx),
				  .host = strdup(p->options->host),
				  .user = strdup(p->options->user),
				  .program = strdup("coffer " CF_VERSION),
				  .packs = packs,
				  .n_packs = n};
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_id id;
	int rc = doc.host && doc.user && doc.program ? cf_tomb_encode(&doc, &plain, err) : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_object_put(p->repo, CF_OBJECT_TOMB, cf_buf_span(&plain), &id, NULL, err);
	cf_buf_release(&plain);
	doc.packs = NULL;
	cf_tomb_doc_release(&doc);
	return rc;
}

/* Packs that nobody needs, and those whose needed chunks were copied. The new copies are read before these are removed. */
static int condemn(struct cf_prune *p, bool with_traces, struct cf_err *err)
{
	struct cf_id *packs = calloc(p->n_packs + 1, sizeof(*packs));
	size_t n = 0;
	int rc = packs ? 0 : cf_err_nomem(err);

	for (size_t i = 0; i < p->n_packs; i++)
		p->packs[i].is_going = is_to_condemn(&p->packs[i], with_traces) && !p->packs[i].is_repacked;
	if (rc == 0)
		rc = cf_prune_verify(p, err);

	for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
		if (!is_to_condemn(&p->packs[i], with_traces))
			continue;
		packs[n++] = p->packs[i].name;
		p->figures->packs_condemned++;
		p->figures->bytes_condemned += p->packs[i].size;
	}
	for (size_t i = 0; rc == 0 && !p->options->dry_run && i < n; i += TOMB_PACKS_MAX)
		rc = put_tomb(p, packs + i, n - i < TOMB_PACKS_MAX ? n - i : TOMB_PACKS_MAX, err);
	free(packs);
	return rc;
}

/* All that tombs condemned when they were looked at and was not removed since, and what was condemned since. */
static void count_waiting(struct cf_prune *p)
{
	struct cf_prune_figures *f = p->figures;

	f->packs_waiting = f->bytes_waiting = 0;
	for (size_t i = 0; i < p->n_packs; i++)
		if (p->packs[i].is_condemned) {
			f->packs_waiting++;
			f->bytes_waiting += p->packs[i].size;
		}
	f->packs_waiting -= f->packs_removed - p->at_look.packs_removed;
	f->bytes_waiting -= f->bytes_removed - p->at_look.bytes_removed;
	f->packs_waiting += f->packs_condemned - p->at_look.packs_condemned;
	f->bytes_waiting += f->bytes_condemned - p->at_look.bytes_condemned;
	if (f->packs_condemned > p->at_look.packs_condemned && !f->next_ns && !f->runs_waited_for)
		f->next_ns = p->options->grace_ns;
}

/* Nothing else works on the repository: what was condemned just now is removed as well. */
static int sweep_now(struct cf_prune *p, struct cf_err *err)
{
	int rc = judge_tombs(p, err);

	if (rc == 0)
		rc = cf_prune_look(p, err);
	return rc < 0 ? rc : cf_prune_sweep(p, err);
}

static bool removes_now(const struct cf_prune *p)
{
	return p->options->now && !p->options->dry_run && cf_prune_can_remove(p);
}

/* What needs no copying goes before anything is copied: there may be no room for copies. Traces help with the copying. */
static int give_room(struct cf_prune *p, struct cf_err *err)
{
	const struct cf_prune_figures *f = p->figures;
	int rc;

	if (!removes_now(p))
		return 0;
	rc = cf_prune_sweep(p, err);
	if (rc == 0)
		rc = condemn(p, false, err);
	if (rc < 0 || (f->packs_removed == 0 && f->packs_condemned == 0))
		return rc;
	if (f->packs_condemned)
		rc = sweep_now(p, err);
	if (rc == 0)
		rc = judge_tombs(p, err);
	return rc < 0 ? rc : cf_prune_look(p, err);
}

/* The store as it was found, and what is needed of it. */
static void count_again(struct cf_prune *p)
{
	const uint64_t packs = p->figures->packs, bytes = p->figures->bytes;

	count(p);
	p->figures->packs = packs;
	p->figures->bytes = bytes;
}

/* Copy what is needed out of packs with waste, and condemn these. */
static int copy_and_condemn(struct cf_prune *p, struct cf_err *err)
{
	int rc = p->options->reencrypt ? 0 : cf_prune_rebase(p, err);

	if (rc == 0)
		rc = find_young(p, err);
	if (rc < 0)
		return rc;
	count_again(p);
	rc = cf_prune_repack(p, err);
	if (rc == 0 && cf_prune_can_remove(p))
		rc = cf_prune_sweep(p, err);
	return rc < 0 ? rc : condemn(p, true, err);
}

static int run(struct cf_prune *p, struct cf_err *err)
{
	const struct cf_lease_options about = {
		.host = p->options->host, .user = p->options->user, .source = "", .is_prune = true};
	int rc = p->options->dry_run ? 0 : cf_lease_begin(p->repo, &about, &p->lease, err);

	if (rc == 0)
		rc = read_clock(p, err);
	if (rc == 0)
		rc = cf_runs_load(p->repo, &p->runs, err);
	if (rc == 0)
		rc = refuse_second(p, err);
	if (rc == 0)
		rc = judge_tombs(p, err);
	if (rc == 0)
		rc = cf_prune_look(p, err);
	if (rc < 0)
		return rc;
	count(p);
	warn_short(p);
	rc = give_room(p, err);
	if (rc == 0)
		rc = copy_and_condemn(p, err);
	if (rc < 0)
		return rc;
	count_waiting(p);
	if (p->figures->packs_waiting && removes_now(p)) {
		rc = sweep_now(p, err);
		count_waiting(p);
	}
	p->figures->cannot_remove = !cf_prune_can_remove(p);
	return rc;
}

/* A prune that was told that nothing else is at work removes what this one reads, after it took its fence away. */
static bool is_shut_out(struct cf_prune *p)
{
	struct cf_backend *store = p->repo->backend;
	uint64_t size;

	return p->lease && store->ops->size(store, cf_object_name(CF_OBJECT_LEASE, cf_lease_fence(p->lease)).s, &size,
					    NULL) == CF_ERR_NOT_FOUND;
}

/* Every step stores something first, a lease, a record of what is condemned, a new index. */
static int advise(struct cf_prune *p, int rc, struct cf_err *err)
{
	if ((rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) && is_shut_out(p))
		return cf_err_set(err, CF_ERR_BUSY,
				  "another prune, told that nothing else is at work, has shut this one out: prune again");
	if (rc == CF_ERR_FULL)
		cf_err_wrap(err, "%s is full; prune needs some room for itself: make a few megabytes by other means, then coffer "
				 "prune --now --max-repack 1M, again and again", p->repo->backend->url);
	return rc;
}

/* Records of damaged packs whose packs have gone: after these, so that nobody meets such a pack without its record. */
static int tidy_quarantine(struct cf_prune *p, struct cf_err *err)
{
	if (p->options->dry_run || !cf_prune_can_remove(p))
		return 0;
	return cf_prune_note_refusal(p, cf_quarantine_drop_gone(p->repo, err), err);
}

static int note_bad(void *user, const struct cf_id *pack, int64_t time_ns, bool is_good)
{
	struct cf_prune *p = user;

	(void)time_ns;
	return is_good ? 0 : cf_id_set_add(&p->bad, pack) < 0;
}

/* Packs that were damaged when this host read them last. */
static int load_bad(struct cf_prune *p, struct cf_err *err)
{
	int rc = cf_verified_open(p->repo, &p->verified, err);

	if (rc == 0 && cf_verified_each(p->verified, note_bad, p))
		rc = cf_err_nomem(err);
	return rc;
}

int cf_prune_run(struct cf_repo *repo, const struct cf_prune_options *options, struct cf_prune_figures *figures_out,
		 struct cf_err *err)
{
	struct cf_prune p = {.repo = repo, .options = options, .figures = figures_out};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	int rc = cf_repo_require_full(repo, own);

	*figures_out = (struct cf_prune_figures){0};
	if (rc == 0)
		rc = load_bad(&p, own);
	if (rc == 0)
		rc = advise(&p, run(&p, own), own);
	if (rc == 0)
		rc = tidy_quarantine(&p, own);
	cf_lease_end(p.lease);
	cf_runs_release(&p.runs);
	cf_tombs_release(&p.tombs);
	free(p.is_ripe);
	free(p.packs);
	cf_live_release(&p.live);
	cf_id_set_release(&p.walked);
	cf_id_set_release(&p.bases);
	cf_id_set_release(&p.good_bases);
	cf_id_set_release(&p.bad);
	cf_verified_close(p.verified);
	return rc;
}
