#include "base/err.h"
#include "base/file.h"
#include "drivers/sqlite/sqlite.h"
#include "tests/suite/sink_recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_MAX ((size_t)256 << 20)

/* One temporary folder a test. */
struct place {
	char dir[64];
	char db[96];
	atomic_uint_least64_t n_warnings;
	struct cf_ctx ctx;
	struct cf_err err;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/coffer-sqlite-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->db, sizeof(p->db), "%s/app.db", p->dir);
	p->ctx.n_warnings = &p->n_warnings;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static sqlite3 *open_db(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 60000);
	return db;
}

static void sql(sqlite3 *db, const char *text)
{
	char *message = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", text, message);
}

static void make_db(struct place *p, const char *script)
{
	sqlite3 *db = open_db(p->db);

	sql(db, script);
	sqlite3_close(db);
}

static char *query_text(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt;
	char *out;

	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	out = sqlite3_step(stmt) == SQLITE_ROW ? strdup((const char *)sqlite3_column_text(stmt, 0))
					       : strdup("(none)");
	sqlite3_finalize(stmt);
	return out;
}

static void assert_answer(sqlite3 *db, const char *text, const char *expected)
{
	char *got = query_text(db, text);

	assert_string_equal(got, expected);
	free(got);
}

static struct cf_buf file_bytes(const char *path)
{
	struct cf_buf buf = CF_BUF_INIT;

	assert_int_equal(cf_file_read(AT_FDCWD, path, FILE_MAX, &buf, NULL), 0);
	return buf;
}

static int run_with(struct place *p, struct cf_sink_recorder *recorder)
{
	struct cf_source_options options = {0};
	struct cf_source *source = NULL;
	int rc = cf_sqlite_driver.open(p->db, &options, &p->ctx, &source, &p->err);

	if (rc == 0) {
		rc = cf_sqlite_driver.run(source, &recorder->sink, &p->err);
		cf_sqlite_driver.close(source);
	}
	return rc;
}

static struct cf_sink_recorder *backup(struct place *p)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	if (run_with(p, recorder) != 0)
		fail_msg("%s", p->err.text);
	return recorder;
}

static const struct cf_buf *stored(struct cf_sink_recorder *recorder)
{
	struct cf_recorded *r = cf_sink_recorder_find(recorder, "app.db");

	assert_non_null(r);
	assert_true(r->ended);
	assert_int_equal(r->entry->size, r->content.len);
	return &r->content;
}

static void assert_backup_fails(struct place *p, int code, const char *text)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	assert_int_equal(run_with(p, recorder), code);
	if (!strstr(p->err.text, text))
		fail_msg("'%s' does not say '%s'", p->err.text, text);
	assert_int_equal(recorder->n_files, 0);
	cf_sink_recorder_free(recorder);
}

static void assert_backup_equals_file(struct place *p)
{
	struct cf_sink_recorder *recorder = backup(p);
	struct cf_buf file = file_bytes(p->db);
	const struct cf_buf *got = stored(recorder);

	assert_int_equal(got->len, file.len);
	assert_memory_equal(got->data, file.data, file.len);
	assert_int_equal(p->n_warnings, 0);
	cf_buf_release(&file);
	cf_sink_recorder_free(recorder);
}

/* Names and sizes of the folder's files. */
static void list_folder(const char *dir, char *out, size_t cap)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	out[0] = '\0';
	for (int i = 0; i < n; i++) {
		strncat(out, names[i]->d_name, cap - strlen(out) - 2);
		strcat(out, " ");
		free(names[i]);
	}
	free(names);
}

#define ROWS                                                                                       \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"                                          \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)"               \
	"INSERT INTO t SELECT i, randomblob(400) FROM n;"                                          \
	"DELETE FROM t WHERE id % 3 = 0;"

static void database_at_rest_is_stored_byte_for_byte(void **state)
{
	static const char *const setups[] = {
		"PRAGMA page_size=512;" ROWS,
		"PRAGMA page_size=1024; PRAGMA auto_vacuum=FULL;" ROWS,
		"PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;" ROWS,
		"PRAGMA page_size=4096; PRAGMA journal_mode=WAL;" ROWS,
		"PRAGMA page_size=65536; PRAGMA journal_mode=WAL;" ROWS,
		"PRAGMA page_size=8192; PRAGMA encoding='UTF-16le'; PRAGMA user_version=7;" ROWS,
		"PRAGMA page_size=16384; PRAGMA journal_mode=PERSIST;" ROWS,
		"PRAGMA page_size=32768; PRAGMA journal_mode=TRUNCATE;" ROWS,
		"PRAGMA page_size=2048; CREATE TABLE one(x);",
	};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
		char before[256], after[256];

		make_db(p, setups[i]);
		list_folder(p->dir, before, sizeof(before));
		assert_backup_equals_file(p);
		list_folder(p->dir, after, sizeof(after));
		assert_string_equal(before, after);
		unlink(p->db);
	}
}

static void entry_and_source_carry_facts(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;
	char count[24];

	make_db(p, "PRAGMA page_size=1024; PRAGMA encoding='UTF-16be'; PRAGMA user_version=-5;"
		   "PRAGMA application_id=1234567; PRAGMA journal_mode=WAL;" ROWS);
	assert_int_equal(chmod(p->db, 0640), 0);
	recorder = backup(p);
	r = cf_sink_recorder_find(recorder, "app.db");
	snprintf(count, sizeof(count), "%zu", r->content.len / 1024);
	assert_string_equal(cf_sink_recorder_entry_fact(r, "sqlite.page_size"), "1024");
	assert_string_equal(cf_sink_recorder_entry_fact(r, "sqlite.page_count"), count);
	assert_string_equal(cf_sink_recorder_entry_fact(r, "sqlite.journal_mode"), "wal");
	assert_string_equal(cf_sink_recorder_fact(recorder, "sqlite.user_version"), "-5");
	assert_string_equal(cf_sink_recorder_fact(recorder, "sqlite.application_id"), "1234567");
	assert_string_equal(cf_sink_recorder_fact(recorder, "sqlite.encoding"), "UTF-16be");
	assert_int_equal(r->entry->mode, 0640);
	assert_int_equal(r->profile.kind, CF_PROFILE_PAGE);
	assert_int_equal(r->profile.page_len, 1024);
	assert_int_equal(recorder->expected_bytes, r->content.len);
	cf_sink_recorder_free(recorder);
}

static sqlite3 *open_stored(struct place *p, struct cf_sink_recorder *recorder)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/restored.db", p->dir);
	assert_int_equal(cf_file_replace(AT_FDCWD, path, cf_buf_span(stored(recorder)), 0600, NULL),
			 0);
	return open_db(path);
}

/* A process that dies: what it committed is in the -wal only, and in the middle of a transaction.
 */
static void write_and_die(struct place *p, const char *committed, const char *open_transaction)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		sqlite3 *db = open_db(p->db);

		sql(db, committed);
		sql(db, open_transaction);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void committed_data_in_wal_is_stored_and_wal_untouched(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct cf_buf db_before, wal_before, db_after, wal_after;
	char wal[128], before[256], after[256], shm[128];
	sqlite3 *db;

	make_db(p, "PRAGMA journal_mode=WAL;" ROWS);
	write_and_die(p,
		      "PRAGMA wal_autocheckpoint=0; UPDATE t SET v='x' WHERE id%2=0;"
		      "CREATE TABLE late(a); INSERT INTO late VALUES(42); PRAGMA user_version=9;",
		      "PRAGMA cache_size=5; BEGIN; UPDATE t SET v=randomblob(300); INSERT INTO "
		      "late VALUES(43)");
	snprintf(wal, sizeof(wal), "%s-wal", p->db);
	snprintf(shm, sizeof(shm), "%s-shm", p->db);
	unlink(shm); /* as after a reboot */
	db_before = file_bytes(p->db);
	wal_before = file_bytes(wal);
	assert_true(wal_before.len > 10000);
	list_folder(p->dir, before, sizeof(before));

	recorder = backup(p);
	list_folder(p->dir, after, sizeof(after));
	assert_string_equal(before, after);
	db_after = file_bytes(p->db);
	wal_after = file_bytes(wal);
	assert_int_equal(db_before.len, db_after.len);
	assert_memory_equal(db_before.data, db_after.data, db_before.len);
	assert_int_equal(wal_before.len, wal_after.len);
	assert_memory_equal(wal_before.data, wal_after.data, wal_before.len);
	assert_string_equal(cf_sink_recorder_fact(recorder, "sqlite.user_version"), "9");

	db = open_stored(p, recorder);
	assert_answer(db, "PRAGMA integrity_check", "ok");
	assert_answer(db, "SELECT group_concat(a) FROM late", "42");
	assert_answer(db, "SELECT count(*) FROM t WHERE v='x'", "667");
	assert_answer(db, "PRAGMA journal_mode", "wal");
	sqlite3_close(db);
	cf_sink_recorder_free(recorder);

	/* Checkpointed by its owner, the file is what was stored. */
	recorder = backup(p);
	db = open_db(p->db);
	sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(db);
	cf_buf_release(&db_after);
	db_after = file_bytes(p->db);
	assert_int_equal(stored(recorder)->len, db_after.len);
	assert_memory_equal(stored(recorder)->data, db_after.data, db_after.len);
	cf_sink_recorder_free(recorder);
	cf_buf_release(&db_before);
	cf_buf_release(&wal_before);
	cf_buf_release(&db_after);
	cf_buf_release(&wal_after);
}

static void open_wal_of_a_living_writer_is_left_alone(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	char before[256], after[256];
	sqlite3 *writer, *db;

	make_db(p, "PRAGMA journal_mode=WAL;" ROWS);
	writer = open_db(p->db);
	sql(writer, "INSERT INTO t VALUES(100000, 'new')");
	list_folder(p->dir, before, sizeof(before));
	recorder = backup(p);
	list_folder(p->dir, after, sizeof(after));
	assert_string_equal(before, after);
	db = open_stored(p, recorder);
	assert_answer(db, "SELECT v FROM t WHERE id=100000", "new");
	sqlite3_close(db);
	/* Its locks are still its own. */
	sql(writer, "INSERT INTO t VALUES(100001, 'more')");
	assert_answer(writer, "PRAGMA integrity_check", "ok");
	sqlite3_close(writer);
	cf_sink_recorder_free(recorder);
}

static void hot_journal_is_rolled_back(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	char journal[128];
	struct stat st;
	sqlite3 *db;

	make_db(p, ROWS "CREATE TABLE late(a); INSERT INTO late VALUES(1)");
	write_and_die(p, "INSERT INTO late VALUES(2)",
		      "PRAGMA cache_size=5; BEGIN; UPDATE t SET v=randomblob(300); INSERT INTO "
		      "late VALUES(3)");
	snprintf(journal, sizeof(journal), "%s-journal", p->db);
	assert_int_equal(stat(journal, &st), 0);
	recorder = backup(p);
	db = open_stored(p, recorder);
	assert_answer(db, "PRAGMA integrity_check", "ok");
	assert_answer(db, "SELECT group_concat(a) FROM late", "1,2");
	sqlite3_close(db);
	cf_sink_recorder_free(recorder);
	assert_backup_equals_file(p);
}

#define BANK                                                                                       \
	"PRAGMA foreign_keys=ON;"                                                                  \
	"CREATE TABLE account(id INTEGER PRIMARY KEY, total INTEGER NOT NULL);"                    \
	"CREATE TABLE entry(id INTEGER PRIMARY KEY, account REFERENCES account, amount INTEGER, "  \
	"pad BLOB);"                                                                               \
	"CREATE INDEX entry_account ON entry(account);"                                            \
	"CREATE TABLE counter(n INTEGER); INSERT INTO counter VALUES(0);"                          \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100)"                \
	"INSERT INTO account SELECT i, 0 FROM n;"                                                  \
	"CREATE TABLE ballast(b BLOB);"                                                            \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1500)"               \
	"INSERT INTO ballast SELECT randomblob(2000) FROM n;"

/* Every transaction keeps: total of an account = sum of its entries; counter = number of
 * transactions. */
static void write_for_ever(struct place *p)
{
	sqlite3 *db = open_db(p->db);

	sql(db, "PRAGMA foreign_keys=ON; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=50");
	for (unsigned i = 1;; i++) {
		char text[512];

		snprintf(text, sizeof(text),
			 "BEGIN IMMEDIATE;"
			 "INSERT INTO entry SELECT NULL, 1+(%u*7+id)%%100, %u, randomblob(150) "
			 "FROM account WHERE id<6;"
			 "DELETE FROM entry WHERE id = %u - 400;"
			 "UPDATE account SET total=(SELECT coalesce(sum(amount),0) FROM entry "
			 "WHERE account=account.id);"
			 "UPDATE ballast SET b=randomblob(2000) WHERE rowid = 1+%u%%1500;"
			 "UPDATE counter SET n=%u; COMMIT",
			 i, i % 50, i * 2, i * 13, i);
		sql(db, text);
	}
}

static pid_t start_writer(struct place *p)
{
	pid_t pid = fork();

	if (pid == 0) {
		write_for_ever(p);
		_exit(1);
	}
	return pid;
}

/* A slow sink, so that commits fall into the middle of a backup. */
static int dawdle(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		  struct cf_err *err)
{
	if (step == CF_RECORDER_FILE_WRITE)
		usleep(1000);
	return 0;
}

static long check_bank(struct place *p, struct cf_sink_recorder *recorder)
{
	sqlite3 *db = open_stored(p, recorder);
	char *counter;
	long n;

	assert_answer(db, "PRAGMA integrity_check", "ok");
	assert_answer(db, "SELECT count(*) FROM pragma_foreign_key_check", "0");
	assert_answer(db,
		      "SELECT count(*) FROM account WHERE total <>"
		      "(SELECT coalesce(sum(amount),0) FROM entry WHERE account=account.id)",
		      "0");
	counter = query_text(db, "SELECT n FROM counter");
	n = atol(counter);
	free(counter);
	sqlite3_close(db);
	return n;
}

static void back_up_under_a_writer(struct place *p, const char *pragma)
{
	long last = -1;
	pid_t writer;
	int status;

	make_db(p, pragma);
	make_db(p, BANK);
	writer = start_writer(p);
	for (int i = 0; i < 50; i++) {
		struct cf_sink_recorder *recorder = cf_sink_recorder_new();
		long n;

		recorder->hook = dawdle;
		if (run_with(p, recorder) != 0)
			fail_msg("backup %d: %s", i, p->err.text);
		n = check_bank(p, recorder);
		assert_true(n >= last);
		last = n;
		cf_sink_recorder_free(recorder);
	}
	assert_int_equal(waitpid(writer, &status, WNOHANG), 0); /* it never failed */
	kill(writer, SIGKILL);
	waitpid(writer, &status, 0);
	assert_true(last > 50);
	assert_int_equal(p->n_warnings, 0);
}

static void backups_under_a_wal_writer_are_committed_states(void **state)
{
	back_up_under_a_writer(*state, "PRAGMA journal_mode=WAL; PRAGMA page_size=4096");
}

static void backups_under_a_rollback_writer_are_committed_states(void **state)
{
	back_up_under_a_writer(*state, "PRAGMA journal_mode=DELETE; PRAGMA page_size=1024");
}

static void empty_file_is_an_empty_database(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	char wal[128];

	close(open(p->db, O_CREAT | O_WRONLY, 0600));
	recorder = backup(p);
	assert_int_equal(stored(recorder)->len, 0);
	cf_sink_recorder_free(recorder);

	snprintf(wal, sizeof(wal), "%s-wal", p->db);
	assert_int_equal(cf_file_replace(AT_FDCWD, wal, cf_span_str("data"), 0600, NULL), 0);
	assert_backup_fails(p, CF_ERR_FAILED, "is empty, but there is data in");
}

static void what_is_no_database_is_refused(void **state)
{
	struct place *p = *state;
	uint8_t noise[8192];

	assert_backup_fails(p, CF_ERR_NOT_FOUND, "app.db: No such file");
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 31 + 7);
	assert_int_equal(
		cf_file_replace(AT_FDCWD, p->db, cf_span_of(noise, sizeof(noise)), 0600, NULL), 0);
	assert_backup_fails(p, CF_ERR_FAILED, "app.db is not a SQLite database");
	assert_int_equal(
		cf_file_replace(AT_FDCWD, p->db, cf_span_str("SQLite format 3"), 0600, NULL), 0);
	assert_backup_fails(p, CF_ERR_FAILED, "app.db is not a SQLite database");
	unlink(p->db);
	assert_int_equal(mkdir(p->db, 0700), 0);
	assert_backup_fails(p, CF_ERR_FAILED, "not a SQLite database but a folder");
	rmdir(p->db);
}

static void truncated_database_is_an_error(void **state)
{
	struct place *p = *state;

	make_db(p, ROWS);
	assert_int_equal(truncate(p->db, 20 * 4096), 0);
	assert_backup_fails(p, CF_ERR_FAILED, "malformed");
}

static void poke(const char *path, off_t off, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, data, len, off), len);
	close(fd);
}

static void wrong_page_count_is_noticed(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_db(p, ROWS);
	poke(p->db, 28, "\0\0\x7f\xff", 4);
	assert_backup_fails(p, CF_ERR_FAILED, "malformed");
	poke(p->db, 28, "\0\0\0\x10", 4);
	recorder = backup(p);
	assert_int_equal(stored(recorder)->len, 16 * 4096);
	assert_int_equal(p->n_warnings, 1);
	cf_sink_recorder_free(recorder);
}

static void truncated_file_under_a_wal_is_a_warning(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_db(p, "PRAGMA journal_mode=WAL;" ROWS);
	write_and_die(p, "PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES(100000, 'x')", "BEGIN");
	assert_int_equal(truncate(p->db, 20 * 4096), 0);
	recorder = backup(p);
	assert_true(p->n_warnings == 1);
	cf_sink_recorder_free(recorder);
}

static void damaged_schema_is_still_stored(void **state)
{
	struct place *p = *state;

	make_db(p, ROWS "PRAGMA writable_schema=ON;"
			"UPDATE sqlite_schema SET sql='CREATE TABLE nonsense'");
	assert_backup_equals_file(p);
}

static void locked_database_can_be_canceled(void **state)
{
	struct place *p = *state;
	atomic_int cancel = 1;
	sqlite3 *db;

	make_db(p, ROWS);
	db = open_db(p->db);
	sql(db, "BEGIN EXCLUSIVE");
	p->ctx.cancel = &cancel;
	assert_backup_fails(p, CF_ERR_CANCELED, "canceled");
	sqlite3_close(db);
}

static int fail_second_write(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
			     struct cf_err *err)
{
	int *n = user;

	if (step == CF_RECORDER_FILE_WRITE && ++*n == 2)
		return cf_err_set(err, CF_ERR_FULL, "the sink is full");
	return 0;
}

static void failing_sink_ends_the_backup_with_its_error(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	int n = 0;

	make_db(p, ROWS);
	recorder->hook = fail_second_write;
	recorder->user = &n;
	assert_int_equal(run_with(p, recorder), CF_ERR_FULL);
	assert_string_equal(p->err.text, "the sink is full");
	assert_int_equal(recorder->n_aborted, 1);
	cf_sink_recorder_free(recorder);
}

static bool want_nothing(void *user, const struct cf_entry *entry)
{
	return false;
}

static void unwanted_content_is_not_read(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	make_db(p, ROWS);
	recorder->wants = want_nothing;
	assert_int_equal(run_with(p, recorder), 0);
	cf_sink_recorder_free(recorder);
}

/* Without permission to write to the folder, as a user who is not root. */
static void unreadable_wal_database_says_what_to_do(void **state)
{
	struct place *p = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	make_db(p, "PRAGMA journal_mode=WAL;" ROWS);
	assert_int_equal(chmod(p->dir, 0755), 0);
	assert_int_equal(chmod(p->db, 0644), 0);
	pid = fork();
	if (pid == 0) {
		struct cf_sink_recorder *recorder = cf_sink_recorder_new();
		int rc;

		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(2);
		rc = run_with(p, recorder);
		_exit(rc == CF_ERR_ACCESS && strstr(p->err.text, "write to it and to its folder")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Over 1 GiB of database: asked for by COFFER_TEST_BIG, as it takes a while and the space. */
static void database_beyond_the_lock_page_is_stored(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;
	struct stat st;

	if (!getenv("COFFER_TEST_BIG"))
		skip();
	make_db(p, "PRAGMA page_size=65536; PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;"
		   "CREATE TABLE t(b); INSERT INTO t VALUES(zeroblob(540000000)), "
		   "(zeroblob(540000000)),"
		   "(randomblob(100000))");
	assert_int_equal(stat(p->db, &st), 0);
	assert_true(st.st_size > (off_t)1 << 30);
	recorder = cf_sink_recorder_new();
	recorder->drop_content = true;
	assert_int_equal(run_with(p, recorder), 0);
	r = cf_sink_recorder_find(recorder, "app.db");
	assert_int_equal(r->content_len, st.st_size);
	assert_int_equal(p->n_warnings, 0);
	cf_sink_recorder_free(recorder);
}

static void time_beyond_64_bits_is_the_nearest_with_a_warning(void **state)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 10413792000}};
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct stat st;

	make_db(p, "CREATE TABLE t(a)");
	assert_int_equal(utimensat(AT_FDCWD, p->db, times, 0), 0);
	assert_int_equal(stat(p->db, &st), 0);
	if (st.st_mtim.tv_sec != times[1].tv_sec)
		skip();
	recorder = cf_sink_recorder_new();
	assert_int_equal(run_with(p, recorder), 0);
	assert_true(cf_sink_recorder_find(recorder, "app.db")->entry->mtime_ns == INT64_MAX);
	assert_int_equal(p->n_warnings, 1);
	cf_sink_recorder_free(recorder);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACED(database_at_rest_is_stored_byte_for_byte),
		PLACED(entry_and_source_carry_facts),
		PLACED(committed_data_in_wal_is_stored_and_wal_untouched),
		PLACED(open_wal_of_a_living_writer_is_left_alone),
		PLACED(hot_journal_is_rolled_back),
		PLACED(empty_file_is_an_empty_database),
		PLACED(time_beyond_64_bits_is_the_nearest_with_a_warning),
		PLACED(what_is_no_database_is_refused),
		PLACED(truncated_database_is_an_error),
		PLACED(wrong_page_count_is_noticed),
		PLACED(truncated_file_under_a_wal_is_a_warning),
		PLACED(damaged_schema_is_still_stored),
		PLACED(locked_database_can_be_canceled),
		PLACED(failing_sink_ends_the_backup_with_its_error),
		PLACED(unwanted_content_is_not_read),
		PLACED(unreadable_wal_database_says_what_to_do),
		PLACED(database_beyond_the_lock_page_is_stored),
		PLACED(backups_under_a_wal_writer_are_committed_states),
		PLACED(backups_under_a_rollback_writer_are_committed_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
