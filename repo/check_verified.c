#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/pack_reader.h"
#include "repo/verified.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

/* Which packs were read when, which are to be read now, and how much that makes. */

const unsigned cf_check_ages[CF_CHECK_AGES] = {1, 7, 30, 90, 365};

static const int64_t day_ns = (int64_t)86400 * 1000000000;

struct gone {
	struct cf_check *check;
	struct cf_id *ids; /* noted once, and not in the store any more */
	size_t n, capacity;
	bool nomem;
};

static int note_known(void *user, const struct cf_id *name, int64_t time_ns, bool is_good)
{
	struct gone *gone = user;
	struct cf_checked_pack *pack = cf_check_pack(gone->check, name);

	if (pack) {
		pack->read_ns = time_ns;
		pack->is_bad = !is_good;
		return 0;
	}
	if (gone->n == gone->capacity) {
		size_t capacity = gone->capacity ? 2 * gone->capacity : 64;
		struct cf_id *ids = realloc(gone->ids, capacity * sizeof(*ids));

		if (!ids) {
			gone->nomem = true;
			return 1;
		}
		gone->ids = ids;
		gone->capacity = capacity;
	}
	gone->ids[gone->n++] = *name;
	return 0;
}

int cf_check_verified_load(struct cf_check *check, struct cf_err *err)
{
	struct gone gone = {.check = check};
	int rc = cf_verified_open(check->repo, &check->verified, err);

	if (rc < 0)
		return rc;
	cf_verified_each(check->verified, note_known, &gone);
	if (gone.nomem)
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < gone.n; i++)
		cf_verified_drop(check->verified, &gone.ids[i]);
	free(gone.ids);
	for (size_t i = 0; i < check->n_packs; i++)
		check->packs[i].draw = randombytes_random();
	return rc;
}

static int compare_urgency(const void *x, const void *y)
{
	const struct cf_checked_pack *a = *(struct cf_checked_pack *const *)x, *b = *(struct cf_checked_pack *const *)y;

	if (a->is_bad != b->is_bad)
		return (int)b->is_bad - (int)a->is_bad;
	if (a->read_ns != b->read_ns)
		return a->read_ns < b->read_ns ? -1 : 1;
	return a->draw < b->draw ? -1 : a->draw > b->draw;
}

static size_t share(size_t n, double percent)
{
	size_t wanted = (size_t)((double)n * percent / 100.0 + 0.9999);

	return wanted > n ? n : wanted;
}

/* All but those in quarantine, in order; *n_bad_out of them are damaged. */
static size_t sort_packs(struct cf_check *check, struct cf_checked_pack **packs, size_t *n_bad_out)
{
	size_t n = 0;

	for (size_t i = 0; i < check->n_packs; i++) {
		if (check->packs[i].is_quarantined || (check->reads_doubtful && !check->packs[i].is_doubtful))
			continue;
		check->packs[i].is_doubtful = false;
		packs[n++] = &check->packs[i];
		*n_bad_out += check->packs[i].is_bad;
	}
	qsort(packs, n, sizeof(struct cf_checked_pack *), compare_urgency);
	return n;
}

int cf_check_choose(struct cf_check *check, const struct cf_check_options *options,
		    struct cf_checked_pack ***packs_out, size_t *n_out, struct cf_err *err)
{
	struct cf_checked_pack **packs = calloc(check->n_packs + 1, sizeof(*packs));
	size_t n_bad = 0, n_there, n_min, n_max, n = 0;
	uint64_t bytes = 0;

	if (!packs)
		return cf_err_nomem(err);
	n_there = sort_packs(check, packs, &n_bad);
	if (check->reads_doubtful) {
		*packs_out = packs;
		*n_out = n_there;
		return 0;
	}
	n_max = options->read_percent > 0 ? share(n_there, options->read_percent) : n_there;
	n_min = options->reads_bad ? n_bad : 1;
	if (options->reads_bad && !(options->read_percent > 0) && !options->read_bytes)
		n_max = n_bad;
	while (n < n_there && (n < n_min || n < n_max)) {
		bytes += packs[n]->size;
		if (n >= n_min && options->read_bytes && bytes > options->read_bytes)
			break;
		n++;
	}
	*packs_out = packs;
	*n_out = n;
	return 0;
}

/* Of a pack that is known to be damaged and was not read in this run. */
static void report_bad(struct cf_check *check, const struct cf_checked_pack *pack)
{
	time_t seconds = (time_t)(pack->read_ns / 1000000000);
	struct tm utc = {0};
	char day[32] = "";

	gmtime_r(&seconds, &utc);
	strftime(day, sizeof(day), "%Y-%m-%d", &utc);
	cf_check_found(check, cf_pack_name(&pack->name).s,
		       "was damaged when it was read on %s: check --read-data reads it again", day);
}

void cf_check_coverage(struct cf_check *check)
{
	struct cf_check_coverage *c = &check->figures.coverage;
	int64_t now = cf_ctx_now_ns(check->repo->ctx);

	for (size_t i = 0; i < check->n_packs; i++) {
		const struct cf_checked_pack *pack = &check->packs[i];

		if (pack->is_quarantined)
			continue;
		c->bytes += pack->size;
		c->bad_packs += pack->is_bad;
		if (pack->is_bad && !pack->was_read)
			report_bad(check, pack);
		if (pack->is_bad || !pack->read_ns)
			continue;
		c->bytes_good += pack->size;
		if (c->oldest_ns == 0 || pack->read_ns < c->oldest_ns)
			c->oldest_ns = pack->read_ns;
		for (size_t age = 0; age < CF_CHECK_AGES; age++)
			if (now - pack->read_ns <= cf_check_ages[age] * day_ns)
				c->bytes_within[age] += pack->size;
	}
}
