#include "cli/doctor.h"

#include "backends/backend.h"
#include "base/err.h"
#include "base/id.h"
#include "cli/output.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { SPACE_FAIL = 64 << 20, CLOCK_NS = 120 };

#define SPACE_WARN (UINT64_C(2) << 30)
#define NS_PER_S   INT64_C(1000000000)

/* In a folder that each repository has, and under a name that readers leave alone. */
struct probe {
	char name[64];
	bool was_listed;
};

static int find_probe(void *user, const char *name, uint64_t size)
{
	struct probe *probe = user;

	(void)size;
	probe->was_listed = strcmp(name, probe->name) == 0;
	return probe->was_listed;
}

static void name_probe(struct probe *probe)
{
	uint8_t random[16];
	char digits[2 * sizeof(random) + 1];

	randombytes_buf(random, sizeof(random));
	cf_hex_encode(random, sizeof(random), digits);
	*probe = (struct probe){0};
	snprintf(probe->name, sizeof(probe->name), "audit/probe-%s", digits);
}

/* What is stored must not be overwritten: a second writer of a name has to be refused. */
static void try_overwriting(struct cf_doctor *doctor, struct cf_backend *store,
			    const struct probe *probe)
{
	struct cf_buf found = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_backend_put(store, probe->name, cf_span_str("second"), &err);
	bool is_kept = cf_backend_get_all(store, probe->name, 64, &found, NULL) == 0 &&
		       found.len == 5 && memcmp(found.data, "first", 5) == 0;

	if (rc == CF_ERR_EXISTS && is_kept)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "create",
			      "the store creates objects and overwrites none");
	else
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "create",
			      "the store overwrote an object, or lost it (%s): backups by several "
			      "hosts at once "
			      "are not safe there; use another one",
			      rc < 0 ? err.text : "and said nothing");
	cf_buf_release(&found);
}

static void try_listing(struct cf_doctor *doctor, struct cf_backend *store, struct probe *probe)
{
	struct cf_err err = CF_ERR_INIT;
	int rc = store->ops->list(store, "audit", find_probe, probe, &err);

	if (rc < 0)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "listing", "%s", err.text);
	else if (probe->was_listed)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "listing",
			      "the store lists what was just stored");
	else
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "listing",
			      "the store does not list at once what was stored: hosts may see "
			      "snapshots late, "
			      "and store twice what another has just stored");
}

static void compare_clocks(struct cf_doctor *doctor, struct cf_backend *store,
			   const struct probe *probe)
{
	int64_t stored_ns, apart;

	if (!store->ops->time || store->ops->time(store, probe->name, &stored_ns, NULL) < 0)
		return;
	apart = (stored_ns - cf_ctx_now_ns(&doctor->cli->ctx)) / NS_PER_S;
	if (apart > CLOCK_NS || apart < -CLOCK_NS)
		cf_doctor_say(
			doctor, CF_DOCTOR_WARN, "clock",
			"the store's clock is %s %s of this host's: set the one that is wrong",
			cf_text_duration((uint64_t)(apart < 0 ? -apart : apart) * NS_PER_S).s,
			apart < 0 ? "behind" : "ahead");
}

static void try_deleting(struct cf_doctor *doctor, struct cf_backend *store,
			 const struct probe *probe)
{
	struct cf_err err = CF_ERR_INIT;
	int rc = store->ops->remove(store, probe->name, &err);

	if (rc == 0 &&
	    store->ops->size(store, probe->name, &(uint64_t){0}, NULL) == CF_ERR_NOT_FOUND)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "delete",
			      "this account may delete: forget works, and so does an intruder");
	else
		cf_doctor_say(
			doctor, CF_DOCTOR_WARN, "delete",
			"this account may not delete%s%s: that protects backups, and forget needs "
			"another one. The object %s stays behind",
			rc < 0 ? ", " : "", rc < 0 ? err.text : "", probe->name);
}

static void try_store(struct cf_doctor *doctor, struct cf_backend *store)
{
	struct cf_err err = CF_ERR_INIT;
	struct probe probe;
	int rc;

	if (!store->ops->remove || !(store->caps & CF_BACKEND_CAN_REMOVE)) {
		cf_doctor_say(doctor, CF_DOCTOR_OK, "delete",
			      "the store does not delete, so nothing was tried there");
		return;
	}
	name_probe(&probe);
	rc = cf_backend_put(store, probe.name, cf_span_str("first"), &err);
	if (rc < 0) {
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "create", "nothing can be stored: %s",
			      err.text);
		return;
	}
	try_overwriting(doctor, store, &probe);
	try_listing(doctor, store, &probe);
	compare_clocks(doctor, store, &probe);
	try_deleting(doctor, store, &probe);
}

/* Of a local folder. */
static void say_space(struct cf_doctor *doctor)
{
	char *folders[2];
	struct statvfs fs;
	enum cf_verdict verdict;
	uint64_t left;

	cf_cli_own_folders(doctor->cli, folders);
	if (folders[0] && statvfs(folders[0], &fs) == 0) {
		left = (uint64_t)fs.f_bavail * fs.f_frsize;
		verdict = left < SPACE_FAIL   ? CF_DOCTOR_FAIL
			  : left < SPACE_WARN ? CF_DOCTOR_WARN
					      : CF_DOCTOR_OK;
		cf_doctor_say(doctor, verdict, "space", "%s left (%s)%s", cf_text_size(left).s,
			      cf_text_share(fs.f_bavail, fs.f_blocks).s,
			      verdict == CF_DOCTOR_OK
				      ? ""
				      : ": make room, a backup needs packs of 32 MiB");
	}
	free(folders[0]);
	free(folders[1]);
}

void cf_doctor_store(struct cf_doctor *doctor, struct cf_backend *store)
{
	try_store(doctor, store);
	say_space(doctor);
}
