/* Key slots of a repository: roles, adding, removing, rotating, and what is left when that is cut short. */

#include "repo/catalog.h"
#include "repo/format/key_removal_doc.h"
#include "repo/key_admin.h"
#include "repo/key_removal.h"
#include "repo/key_slot.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "tests/unit/repo_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct cf_slot_about about = {.host = "h", .user = "u", .comment = "c"};

/* Secrets of people; the fixture's own is the admin's. */
static const char *const spare_text = "spare spare spare spare spare spa";
static const char *const writer_text = "writer writer writer writer write";

struct person {
	struct cf_secret *secret;
	struct cf_credentials credentials;
};

static void person_init(struct person *person, const char *text)
{
	assert_int_equal(cf_secret_copy(cf_span_str(text), &person->secret, NULL), 0);
	person->credentials = (struct cf_credentials){.key_file = person->secret};
}

static void ok(int rc, const struct cf_err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static struct cf_repo *try_open(struct fixture *f, struct cf_backend *store,
				const struct cf_credentials *credentials, struct cf_err *err)
{
	const struct cf_repo_open_options options = {.n_threads = 2};
	struct cf_backend *backend = fixture_share(store);
	struct cf_repo *repo = NULL;

	if (cf_repo_open(backend, credentials, &options, &f->ctx, &repo, err) < 0) {
		cf_backend_close(backend);
		return NULL;
	}
	return repo;
}

static struct cf_repo *open_as(struct fixture *f, const struct cf_credentials *credentials)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = try_open(f, f->store, credentials, &err);

	ok(repo ? 0 : -1, &err);
	return repo;
}

static void add_key(struct fixture *f, enum cf_key_role role, const struct person *person, char *id_out)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open(f);

	ok(cf_key_add(repo, role, &person->credentials, &about, id_out, &err), &err);
	cf_repo_close(repo);
}

static void rotate_as(struct fixture *f, const struct cf_credentials *credentials,
		      struct cf_key_rotation *rotation)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = open_as(f, credentials);

	ok(cf_key_rotate(repo, credentials, &about, rotation, &err), &err);
	cf_repo_close(repo);
}

static struct cf_snapshot *backup_as(struct fixture *f, const struct cf_credentials *credentials,
				     unsigned version)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = open_as(f, credentials);
	struct cf_snapshot *snapshot = NULL;

	ok(fixture_backup(repo, version, &snapshot, &err), &err);
	cf_repo_close(repo);
	return snapshot;
}

/* 1 when it restores equal with these credentials; else the error. */
static int restore_as(struct fixture *f, const struct cf_credentials *credentials,
		      const struct cf_snapshot *snapshot, unsigned version, struct cf_err *err)
{
	struct cf_repo *repo = try_open(f, f->store, credentials, err);
	int rc;

	if (!repo)
		return err->code;
	rc = fixture_restore_equals(repo, snapshot, version, err);
	cf_repo_close(repo);
	return rc;
}

struct names {
	char (*names)[80];
	size_t n;
};

static int collect(void *user, const char *name, uint64_t size)
{
	struct names *names = user;

	(void)size;
	names->names = realloc(names->names, (names->n + 1) * sizeof(*names->names));
	assert_non_null(names->names);
	snprintf(names->names[names->n++], sizeof(*names->names), "%s", name);
	return 0;
}

static struct names list_objects(struct cf_backend *store, const char *prefix)
{
	struct names names = {0};

	assert_int_equal(store->ops->list(store, prefix, collect, &names, NULL), 0);
	return names;
}

static size_t count_slots(struct cf_backend *store)
{
	struct names names = list_objects(store, "keys");

	free(names.names);
	return names.n;
}

static struct cf_backend *clone_store(struct cf_backend *store)
{
	struct names names = list_objects(store, "");
	struct cf_backend *clone = NULL;

	assert_int_equal(cf_memory_new(&clone, NULL), 0);
	for (size_t i = 0; i < names.n; i++) {
		struct cf_buf bytes = CF_BUF_INIT;

		assert_int_equal(cf_backend_get_all(store, names.names[i], 1 << 30, &bytes, NULL), 0);
		assert_int_equal(cf_backend_put(clone, names.names[i], cf_buf_span(&bytes), NULL), 0);
		cf_buf_release(&bytes);
	}
	free(names.names);
	return clone;
}

static void write_key_backs_up_and_opens_no_pack(void **state)
{
	struct fixture f;
	struct person writer;
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *first, *second;
	struct names packs;
	struct cf_repo *repo;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&writer, writer_text);
	add_key(&f, CF_ROLE_WRITE, &writer, id);
	first = backup_as(&f, &f.credentials, 1);
	second = backup_as(&f, &writer.credentials, 2);
	assert_true(second->figures.chunks_known > 0);
	assert_int_equal(second->figures.chunks_delta, 0);
	assert_true(cf_id_is_zero(&second->parent));
	assert_int_equal(restore_as(&f, &f.credentials, second, 2, &err), 1);
	assert_int_equal(restore_as(&f, &writer.credentials, second, 2, &err), CF_ERR_KEY);
	assert_non_null(strstr(err.text, "role write"));

	repo = open_as(&f, &writer.credentials);
	for (uint32_t i = 0; i < cf_keyring_of(repo->ring)->n_epochs; i++)
		assert_true(
			cf_id_is_zero((const struct cf_id *)cf_keyring_of(repo->ring)->epochs[i].secret_key));
	packs = list_objects(f.store, "packs");
	assert_true(packs.n >= 4);
	for (size_t i = 0; i < packs.n; i++) {
		struct cf_segment_pack pack = {0};
		uint64_t size = 0;
		struct cf_id name;

		assert_true(cf_id_parse(strrchr(packs.names[i], '/') + 1, &name));
		assert_int_equal(f.store->ops->size(f.store, packs.names[i], &size, NULL), 0);
		assert_int_equal(cf_pack_read_table(repo, &name, size, &pack, &err), CF_ERR_KEY);
		/* Whatever program: its keyring lies about its role, and is as blind. */
		cf_keyring_of(repo->ring)->role = CF_ROLE_FULL;
		assert_int_equal(cf_pack_read_table(repo, &name, size, &pack, &err), CF_ERR_DAMAGED);
		cf_keyring_of(repo->ring)->role = CF_ROLE_WRITE;
	}
	cf_repo_close(repo);
	free(packs.names);
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_secret_free(writer.secret);
	fixture_release(&f);
}

static void forge_removal(struct cf_repo *repo, const uint8_t *slot)
{
	struct cf_key_removal removal = {.signature = {1}};
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_id id;

	memcpy(removal.slot, slot, CF_SLOT_ID_LEN);
	ok(cf_key_removal_encode(&removal, &doc, NULL), NULL);
	ok(cf_object_put(repo, CF_OBJECT_KEY_REMOVAL, cf_buf_span(&doc), &id, NULL, NULL), NULL);
	cf_buf_release(&doc);
}

static void write_key_changes_no_keys(void **state)
{
	struct fixture f;
	struct person writer, spare;
	struct cf_key_rotation rotation;
	struct cf_key_list list;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&writer, writer_text);
	person_init(&spare, spare_text);
	add_key(&f, CF_ROLE_WRITE, &writer, id);
	repo = open_as(&f, &writer.credentials);
	assert_int_equal(cf_key_add(repo, CF_ROLE_WRITE, &spare.credentials, &about, id, &err), CF_ERR_KEY);
	assert_int_equal(cf_key_replace(repo, &spare.credentials, &about, id, &err), CF_ERR_KEY);
	assert_int_equal(cf_key_rotate(repo, &spare.credentials, &about, &rotation, &err), CF_ERR_KEY);
	ok(cf_key_list_load(repo, &list, &err), &err);
	assert_int_equal(list.n, 2);
	for (size_t i = 0; i < list.n; i++) {
		assert_true(list.items[i].is_trusted);
		assert_int_equal(cf_key_remove(repo, &list.items[i], true, false, &err), CF_ERR_KEY);
	}
	cf_key_list_release(&list);
	assert_int_equal(count_slots(f.store), 2);
	/* A record that a slot was removed, by whoever has the key that seals records. */
	forge_removal(repo, repo->key.slot_id);
	ok(cf_key_list_load(repo, &list, &err), &err);
	for (size_t i = 0; i < list.n; i++)
		assert_false(list.items[i].is_removed);
	cf_key_list_release(&list);
	cf_repo_close(repo);
	repo = fixture_open(&f);
	assert_int_equal(fixture_check(repo, NULL, &err), CF_ERR_DAMAGED);
	ok(cf_key_rotate(repo, &f.credentials, &about, &rotation, &err), &err);
	assert_int_equal(rotation.n_slots, 2);
	cf_repo_close(repo);
	cf_secret_free(writer.secret);
	cf_secret_free(spare.secret);
	fixture_release(&f);
}

static void put_keys_back(struct fixture *f, struct cf_backend *copied)
{
	struct names slots = list_objects(copied, "keys");

	for (size_t i = 0; i < slots.n; i++) {
		struct cf_buf bytes = CF_BUF_INIT;
		int rc;

		assert_int_equal(cf_backend_get_all(copied, slots.names[i], 1 << 20, &bytes, NULL), 0);
		rc = cf_backend_put(f->store, slots.names[i], cf_buf_span(&bytes), NULL);
		assert_true(rc == 0 || rc == CF_ERR_EXISTS);
		cf_buf_release(&bytes);
	}
	free(slots.names);
}

static void removed_key_reads_what_was_and_nothing_new(void **state)
{
	struct fixture f;
	struct person spare;
	struct cf_key_rotation rotation;
	struct cf_key_list list;
	const struct cf_key_info *info;
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *before, *after;
	struct cf_backend *copied;
	struct cf_repo *repo;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&spare, spare_text);
	add_key(&f, CF_ROLE_FULL, &spare, id);
	before = backup_as(&f, &f.credentials, 1);
	copied = clone_store(f.store);
	repo = fixture_open(&f);
	ok(cf_key_list_load(repo, &list, &err), &err);
	ok(cf_key_list_find(&list, id, &info, &err), &err);
	ok(cf_key_remove(repo, info, false, true, &err), &err);
	assert_int_equal(restore_as(&f, &spare.credentials, before, 1, &err), 1);
	ok(cf_key_remove(repo, info, false, false, &err), &err);
	cf_key_list_release(&list);
	cf_repo_close(repo);
	assert_int_equal(restore_as(&f, &spare.credentials, before, 1, &err), CF_ERR_KEY);
	rotate_as(&f, &f.credentials, &rotation);
	assert_true(rotation.is_new);
	assert_int_equal(rotation.n_slots, 1);
	assert_int_equal(rotation.n_epochs, 2);
	after = backup_as(&f, &f.credentials, 2);
	assert_int_equal(restore_as(&f, &f.credentials, before, 1, &err), 1);
	assert_int_equal(restore_as(&f, &f.credentials, after, 2, &err), 1);

	/* Who kept a copy of the slot: the old backup opens, the new one does not, nor does one after another rotation. */
	put_keys_back(&f, copied);
	assert_int_equal(restore_as(&f, &spare.credentials, before, 1, &err), 1);
	assert_int_equal(restore_as(&f, &spare.credentials, after, 2, &err), CF_ERR_KEY);
	assert_non_null(strstr(err.text, "epoch"));
	rotate_as(&f, &f.credentials, &rotation);
	assert_true(rotation.is_new);
	assert_int_equal(rotation.n_slots, 1);
	cf_snapshot_free(after);
	after = backup_as(&f, &f.credentials, 3);
	assert_int_equal(restore_as(&f, &spare.credentials, after, 3, &err), CF_ERR_KEY);
	/* The admin's old slot came back as well, and does no harm. */
	assert_int_equal(restore_as(&f, &f.credentials, after, 3, &err), 1);
	repo = fixture_open(&f);
	assert_int_equal(fixture_check(repo, NULL, &err), CF_ERR_DAMAGED);
	ok(cf_key_list_load(repo, &list, &err), &err);
	ok(cf_key_list_find(&list, id, &info, &err), &err);
	assert_true(info->is_removed);
	ok(cf_key_remove(repo, info, false, false, &err), &err);
	cf_key_list_release(&list);
	ok(fixture_check(repo, NULL, &err), &err);
	cf_repo_close(repo);
	cf_backend_close(copied);
	cf_snapshot_free(before);
	cf_snapshot_free(after);
	cf_secret_free(spare.secret);
	fixture_release(&f);
}

static void rotation_reaches_all_slots_beside_a_running_backup(void **state)
{
	struct fixture f;
	struct person spare, writer;
	struct cf_key_rotation rotation;
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *snapshots[4] = {NULL};
	struct cf_repo *running;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&spare, spare_text);
	person_init(&writer, writer_text);
	add_key(&f, CF_ROLE_FULL, &spare, id);
	add_key(&f, CF_ROLE_WRITE, &writer, id);
	running = open_as(&f, &writer.credentials);
	snapshots[0] = backup_as(&f, &f.credentials, 1);
	rotate_as(&f, &f.credentials, &rotation);
	assert_int_equal(rotation.n_slots, 3);
	ok(fixture_backup(running, 2, &snapshots[1], &err), &err);
	cf_repo_close(running);
	snapshots[2] = backup_as(&f, &spare.credentials, 3);
	snapshots[3] = backup_as(&f, &writer.credentials, 4);
	assert_int_equal(count_slots(f.store), 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(restore_as(&f, &f.credentials, snapshots[i], i + 1, &err), 1);
		assert_int_equal(restore_as(&f, &spare.credentials, snapshots[i], i + 1, &err), 1);
		cf_snapshot_free(snapshots[i]);
	}
	cf_secret_free(spare.secret);
	cf_secret_free(writer.secret);
	fixture_release(&f);
}

static void two_rotations_at_once_lose_no_epoch(void **state)
{
	struct fixture f;
	struct person spare;
	struct cf_key_rotation rotation;
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *a, *b;
	struct cf_repo *one, *two;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&spare, spare_text);
	add_key(&f, CF_ROLE_FULL, &spare, id);
	one = fixture_open(&f);
	two = open_as(&f, &spare.credentials);
	ok(cf_key_rotate(one, &f.credentials, &about, &rotation, &err), &err);
	a = backup_as(&f, &f.credentials, 1);
	ok(cf_key_rotate(two, &spare.credentials, &about, &rotation, &err), &err);
	cf_repo_close(one);
	cf_repo_close(two);
	b = backup_as(&f, &spare.credentials, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(restore_as(&f, &f.credentials, a, 1, &err), 1);
		assert_int_equal(restore_as(&f, &f.credentials, b, 2, &err), 1);
		assert_int_equal(restore_as(&f, &spare.credentials, a, 1, &err), 1);
		assert_int_equal(restore_as(&f, &spare.credentials, b, 2, &err), 1);
		/* And once more after the next rotation has joined them. */
		if (i == 0)
			rotate_as(&f, &f.credentials, &rotation);
	}
	assert_int_equal(rotation.n_epochs, 4);
	assert_int_equal(count_slots(f.store), 2);
	cf_snapshot_free(a);
	cf_snapshot_free(b);
	cf_secret_free(spare.secret);
	fixture_release(&f);
}

static void slot_left_behind_still_backs_up(void **state)
{
	struct fixture f;
	struct person spare;
	struct cf_key_rotation rotation;
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *others, *own;
	struct cf_backend *before;
	struct names slots;
	struct cf_repo *repo;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	person_init(&spare, spare_text);
	add_key(&f, CF_ROLE_FULL, &spare, id);
	before = clone_store(f.store);
	rotate_as(&f, &f.credentials, &rotation);
	others = backup_as(&f, &f.credentials, 1);
	/* The state of one slot from before the rotation, as when that was cut short. */
	repo = fixture_open(&f);
	slots = list_objects(f.store, "keys");
	for (size_t i = 0; i < slots.n; i++)
		assert_int_equal(f.store->ops->remove(f.store, slots.names[i], NULL), 0);
	ok(cf_key_add(repo, CF_ROLE_FULL, &f.credentials, &about, id, &err), &err);
	free(slots.names);
	slots = list_objects(before, "keys");
	for (size_t i = 0; i < slots.n; i++) {
		struct cf_buf bytes = CF_BUF_INIT;

		assert_int_equal(cf_backend_get_all(before, slots.names[i], 1 << 20, &bytes, NULL), 0);
		assert_int_equal(cf_backend_put(f.store, slots.names[i], cf_buf_span(&bytes), NULL), 0);
		cf_buf_release(&bytes);
	}
	free(slots.names);
	cf_repo_close(repo);
	own = backup_as(&f, &spare.credentials, 2);
	assert_int_equal(restore_as(&f, &spare.credentials, others, 1, &err), CF_ERR_KEY);
	cf_snapshot_free(others);
	cf_snapshot_free(own);
	cf_backend_close(before);
	cf_secret_free(spare.secret);
	fixture_release(&f);
}

static void planted_slot_gets_no_new_epoch(void **state)
{
	struct fixture f;
	struct person thief;
	struct cf_key_rotation rotation;
	struct cf_key_list list;
	struct cf_err err = CF_ERR_INIT;
	struct cf_secret *other = NULL;
	struct cf_keyslot2 slot;
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_repo *repo;
	size_t n_untrusted = 0;

	(void)state;
	fixture_init(&f, 0);
	person_init(&thief, spare_text);
	/* What somebody who can write to the store makes without a full keyring: signed by a key of his own.
	 */
	ok(cf_keyring_new(&other, &err), &err);
	ok(cf_slot_make(other, CF_ROLE_FULL, &thief.credentials, &about, 5, &slot, &err), &err);
	ok(cf_slot_put(f.store, &slot, NULL, &err), &err);
	rotate_as(&f, &f.credentials, &rotation);
	assert_int_equal(rotation.n_slots, 1);
	repo = fixture_open(&f);
	ok(cf_key_list_load(repo, &list, &err), &err);
	for (size_t i = 0; i < list.n; i++)
		n_untrusted += !list.items[i].is_trusted;
	assert_int_equal(list.n, 2);
	assert_int_equal(n_untrusted, 1);
	/* It does not count as one that is left. */
	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].is_trusted)
			assert_int_equal(cf_key_remove(repo, &list.items[i], true, false, &err), CF_ERR_BUSY);
	cf_key_list_release(&list);
	assert_int_equal(fixture_check(repo, &findings, &err), CF_ERR_DAMAGED);
	cf_repo_close(repo);
	assert_null(try_open(&f, f.store, &thief.credentials, &err));
	cf_buf_release(&findings);
	cf_keyslot2_release(&slot);
	cf_secret_free(other);
	cf_secret_free(thief.secret);
	fixture_release(&f);
}

/* Who may write can store slots that take hours to try. */
static void a_costly_planted_slot_holds_nobody_up(void **state)
{
	struct fixture f;
	struct person someone;
	struct cf_err err = CF_ERR_INIT;
	struct cf_secret *other = NULL;

	(void)state;
	fixture_init(&f, 0);
	assert_int_equal(cf_secret_copy(cf_span_str("a password"), &someone.secret, NULL), 0);
	someone.credentials = (struct cf_credentials){.passphrase = someone.secret};
	add_key(&f, CF_ROLE_FULL, &someone, (char[2 * CF_SLOT_ID_LEN + 1]){0});
	ok(cf_keyring_new(&other, &err), &err);
	for (unsigned i = 0; i < 4; i++) {
		struct cf_keyslot2 slot;

		ok(cf_slot_make(other, CF_ROLE_FULL, &someone.credentials, &about, (int)i, &slot, &err), &err);
		slot.ops = CF_SLOT_OPS_MAX;
		slot.memory = CF_SLOT_MEMORY_MAX;
		ok(cf_slot_put(f.store, &slot, NULL, &err), &err);
		cf_keyslot2_release(&slot);
	}
	cf_repo_close(open_as(&f, &someone.credentials));
	cf_secret_free(other);
	cf_secret_free(someone.secret);
	fixture_release(&f);
}

static void keyring_of_another_role_or_slot_is_refused(void **state)
{
	struct fixture f;
	struct person spare;
	struct cf_secret *secret = NULL, *ring = NULL;
	struct cf_keyslot2 slot, changed;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	uint32_t epochs[1] = {77};

	(void)state;
	fixture_init(&f, 0);
	person_init(&spare, spare_text);
	repo = fixture_open(&f);
	ok(cf_slot_make(repo->ring, CF_ROLE_WRITE, &spare.credentials, &about, 5, &slot, &err), &err);
	ok(cf_slot_unlock(&slot, &spare.credentials, &secret, &err), &err);
	ok(cf_slot_keyring(&slot, secret, &ring, &err), &err);
	assert_int_equal(cf_keyring_of(ring)->role, CF_ROLE_WRITE);
	cf_secret_free(ring);
	ring = NULL;
	changed = slot;
	changed.role = CF_ROLE_FULL;
	assert_int_equal(cf_slot_keyring(&changed, secret, &ring, &err), CF_ERR_DAMAGED);
	assert_int_equal(cf_slot_unlock(&changed, &spare.credentials, &ring, &err), CF_ERR_KEY);
	changed = slot;
	changed.epochs = epochs;
	changed.n_epochs = 1;
	assert_int_equal(cf_slot_keyring(&changed, secret, &ring, &err), CF_ERR_DAMAGED);
	assert_null(ring);
	cf_secret_free(secret);
	cf_keyslot2_release(&slot);
	cf_repo_close(repo);
	cf_secret_free(spare.secret);
	fixture_release(&f);
}

/* Operations that are cut short, and what must still be true. */
typedef int operation_fn(struct cf_repo *repo, const struct person *admin, const struct person *spare,
			 struct cf_err *err);

static int do_add(struct cf_repo *repo, const struct person *admin, const struct person *spare,
		  struct cf_err *err)
{
	char id[33];

	(void)admin;
	return cf_key_add(repo, CF_ROLE_FULL, &spare->credentials, &about, id, err);
}

static int do_replace(struct cf_repo *repo, const struct person *admin, const struct person *spare,
		      struct cf_err *err)
{
	char id[33];

	(void)admin;
	return cf_key_replace(repo, &spare->credentials, &about, id, err);
}

static int do_rotate(struct cf_repo *repo, const struct person *admin, const struct person *spare,
		     struct cf_err *err)
{
	struct cf_key_rotation rotation;

	(void)spare;
	return cf_key_rotate(repo, &admin->credentials, &about, &rotation, err);
}

static int do_remove(struct cf_repo *repo, const struct person *admin, const struct person *spare,
		     struct cf_err *err)
{
	struct cf_key_list list;
	int rc = cf_key_list_load(repo, &list, err);

	(void)admin;
	(void)spare;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++)
		if (!list.items[i].in_use)
			rc = cf_key_remove(repo, &list.items[i], false, false, err);
	cf_key_list_release(&list);
	return rc;
}

/*
 * Who gets in restores the snapshot and can back up, and somebody restores that as well. Who is behind, since a rotation was
 * cut short, may meet chunks that others stored under the new epoch.
 */
static void assert_usable(struct fixture *f, struct cf_backend *store, const struct person *people, size_t n,
			  const struct cf_snapshot *snapshot)
{
	size_t n_complete = 0;

	for (size_t i = 0; i < n; i++) {
		struct cf_err err = CF_ERR_INIT;
		struct cf_repo *repo = try_open(f, store, &people[i].credentials, &err);
		struct cf_snapshot *fresh = NULL;

		if (!repo)
			continue;
		assert_int_equal(fixture_restore_equals(repo, snapshot, 1, &err), 1);
		ok(fixture_backup(repo, 5, &fresh, &err), &err);
		if (!repo->key.is_behind)
			assert_int_equal(fixture_restore_equals(repo, fresh, 5, &err), 1);
		n_complete += !repo->key.is_behind;
		cf_snapshot_free(fresh);
		cf_repo_close(repo);
	}
	assert_true(n_complete > 0);
}

static bool was_removed(struct cf_repo *repo)
{
	struct cf_key_list list;
	bool was_removed = false;

	assert_int_equal(cf_key_list_load(repo, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++)
		was_removed |= list.items[i].in_use && list.items[i].is_removed;
	cf_key_list_release(&list);
	return was_removed;
}

/* What was begun to be removed goes, and the others have the newest epoch. */
static void finish(struct cf_repo *repo, const struct person *person)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_key_list list;

	ok(cf_key_list_load(repo, &list, &err), &err);
	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].is_removed)
			ok(cf_key_remove(repo, &list.items[i], false, false, &err), &err);
	cf_key_list_release(&list);
	ok(do_rotate(repo, person, NULL, &err), &err);
}

static bool cut_short(struct fixture *f, operation_fn *operation, const struct person *people,
		      const struct cf_snapshot *snapshot, const struct cf_fault_rule *rule)
{
	const struct cf_repo_open_options options = {.n_threads = 1};
	struct cf_backend *store = clone_store(f->store), *fault = NULL;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = NULL;
	bool was_reached;
	int rc;

	assert_int_equal(cf_fault_new(fixture_share(store), &fault, NULL), 0);
	ok(cf_repo_open(fault, &people[0].credentials, &options, &f->ctx, &repo, &err), &err);
	cf_fault_set(fault, rule);
	rc = operation(repo, &people[0], &people[1], &err);
	was_reached = cf_fault_counted(fault) >= rule->nth;
	if (!was_reached)
		ok(rc, &err);
	cf_repo_close(repo);
	assert_usable(f, store, people, 2, snapshot);
	/* Whoever can, finishes it: then both read everything, also what the other wrote since. */
	for (int i = 0; i < 2; i++) {
		repo = try_open(f, store, &people[i].credentials, NULL);
		if (repo && !repo->key.is_behind && !was_removed(repo)) {
			finish(repo, &people[i]);
			cf_repo_close(repo);
			break;
		}
		cf_repo_close(repo);
	}
	assert_usable(f, store, people, 2, snapshot);
	for (int i = 0; i < 2; i++) {
		repo = try_open(f, store, &people[i].credentials, NULL);
		assert_false(repo && repo->key.is_behind);
		assert_true(!repo || fixture_check(repo, NULL, &err) == 0);
		cf_repo_close(repo);
	}
	cf_backend_close(store);
	return was_reached;
}

static void a_slot_opens_whatever_is_cut_short(void **state)
{
	static const struct {
		operation_fn *fn;
		bool has_spare;
	} operations[] = {{do_add, false}, {do_replace, false}, {do_rotate, true}, {do_remove, true}};
	static const struct {
		enum cf_call call;
		enum cf_fault_kind kind;
	} faults[] = {{CF_CALL_ANY, CF_FAULT_FAIL},	     {CF_CALL_PUT, CF_FAULT_LOST_REPLY},
		      {CF_CALL_REMOVE, CF_FAULT_LOST_REPLY}, {CF_CALL_PUT, CF_FAULT_STOP_AFTER},
		      {CF_CALL_REMOVE, CF_FAULT_STOP},	     {CF_CALL_REMOVE, CF_FAULT_STOP_AFTER}};

	(void)state;
	for (size_t o = 0; o < 4; o++) {
		struct fixture f;
		struct person people[2];
		struct cf_snapshot *snapshot;
		char id[33];
		unsigned n_cut = 0;

		fixture_init(&f, 0);
		people[0].credentials = f.credentials;
		person_init(&people[1], spare_text);
		if (operations[o].has_spare)
			add_key(&f, CF_ROLE_FULL, &people[1], id);
		snapshot = backup_as(&f, &f.credentials, 1);
		for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
			struct cf_fault_rule rule = {
				.call = faults[k].call, .nth = 1, .kind = faults[k].kind};

			while (cut_short(&f, operations[o].fn, people, snapshot, &rule))
				rule.nth++;
			n_cut += rule.nth - 1;
		}
		assert_true(n_cut >= 3);
		cf_snapshot_free(snapshot);
		cf_secret_free(people[1].secret);
		fixture_release(&f);
	}
}

/* A secret manager that adds one to every byte, or misbehaves. */
struct manager {
	int wrap_rc, unwrap_rc;
	bool gives_another;
	unsigned n_calls;
};

static int manager_wrap(void *user, struct cf_span key, struct cf_buf *wrapped_out, struct cf_err *err)
{
	struct manager *manager = user;
	int rc = cf_buf_append(wrapped_out, key.data, key.len, err);

	for (size_t i = 0; i < wrapped_out->len; i++)
		wrapped_out->data[i]++;
	return manager->wrap_rc ? cf_err_set(err, manager->wrap_rc, "no") : rc;
}

static int manager_unwrap(void *user, struct cf_span wrapped, struct cf_secret **key_out, struct cf_err *err)
{
	struct manager *manager = user;
	int rc;

	manager->n_calls++;
	if (manager->unwrap_rc)
		return cf_err_set(err, manager->unwrap_rc, "no");
	rc = cf_secret_copy(wrapped, key_out, err);
	for (size_t i = 0; rc == 0 && i < wrapped.len; i++)
		cf_secret_data(*key_out)[i] -= manager->gives_another ? 2 : 1;
	return rc;
}

static void secret_manager_opens_and_its_failures_leave_no_slot(void **state)
{
	struct manager manager = {0};
	const struct cf_key_wrapper wrapper = {manager_wrap, manager_unwrap, &manager};
	const struct cf_credentials credentials = {.wrapper = &wrapper};
	struct cf_err err = CF_ERR_INIT;
	struct cf_snapshot *snapshot;
	struct fixture f;
	struct cf_repo *repo;
	char id[33];

	(void)state;
	fixture_init(&f, 0);
	snapshot = backup_as(&f, &f.credentials, 1);
	repo = fixture_open(&f);
	manager.wrap_rc = CF_ERR_KEY;
	assert_int_equal(cf_key_add(repo, CF_ROLE_FULL, &credentials, &about, id, &err), CF_ERR_KEY);
	manager = (struct manager){.gives_another = true};
	assert_int_equal(cf_key_add(repo, CF_ROLE_FULL, &credentials, &about, id, &err), CF_ERR_KEY);
	assert_int_equal(count_slots(f.store), 1);
	manager = (struct manager){0};
	ok(cf_key_add(repo, CF_ROLE_FULL, &credentials, &about, id, &err), &err);
	cf_repo_close(repo);
	assert_int_equal(restore_as(&f, &credentials, snapshot, 1, &err), 1);
	manager.unwrap_rc = CF_ERR_KEY;
	assert_int_equal(restore_as(&f, &credentials, snapshot, 1, &err), CF_ERR_KEY);
	manager = (struct manager){.gives_another = true};
	assert_int_equal(restore_as(&f, &credentials, snapshot, 1, &err), CF_ERR_KEY);
	assert_string_equal(err.text, "wrong key command");
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_key_backs_up_and_opens_no_pack),
		cmocka_unit_test(write_key_changes_no_keys),
		cmocka_unit_test(removed_key_reads_what_was_and_nothing_new),
		cmocka_unit_test(rotation_reaches_all_slots_beside_a_running_backup),
		cmocka_unit_test(two_rotations_at_once_lose_no_epoch),
		cmocka_unit_test(slot_left_behind_still_backs_up),
		cmocka_unit_test(planted_slot_gets_no_new_epoch),
		cmocka_unit_test(a_costly_planted_slot_holds_nobody_up),
		cmocka_unit_test(keyring_of_another_role_or_slot_is_refused),
		cmocka_unit_test(a_slot_opens_whatever_is_cut_short),
		cmocka_unit_test(secret_manager_opens_and_its_failures_leave_no_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
