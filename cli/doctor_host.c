#include "cli/doctor.h"

#include "base/err.h"
#include "base/file.h"
#include "cli/output.h"
#include "drivers/driver.h"
#include "repo/libraries.h"
#ifdef CF_WITH_FUSE
#include "fuse/mount.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void say_program(struct cf_doctor *doctor)
{
	struct cf_buf text = CF_BUF_INIT;

	if (cf_libraries_append(&text, NULL) == 0 && cf_buf_append(&text, "", 1, NULL) == 0)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "program", "coffer " CF_VERSION "; %s",
			      (const char *)text.data);
	cf_buf_release(&text);
}

/* Whether the line of the processor's features has the word. */
static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = line; (at = strstr(at, word)); at += len)
		if (at > line && at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n' || !at[len]))
			return true;
	return false;
}

static void say_processor(struct cf_doctor *doctor)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t size = 0;
	bool has_aes, has_sha, is_known = false;

	while (file && !is_known && getline(&line, &size, file) > 0)
		is_known = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
	has_aes = is_known && has_word(line, "aes");
	has_sha = is_known && (has_word(line, "sha_ni") || has_word(line, "sha2"));
	if (!is_known)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "processor",
			      "this system does not tell what it can do");
	else if (!has_aes)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "processor",
			      "no instructions for AES: a new repository with --cipher "
			      "chacha20-poly1305 is "
			      "faster and safer here");
	else
		cf_doctor_say(doctor, CF_DOCTOR_OK, "processor", "instructions for AES%s",
			      has_sha ? " and SHA-256"
				      : "; SHA-256 is computed without any, more slowly");
	free(line);
	if (file)
		fclose(file);
}

static void say_cache(struct cf_doctor *doctor)
{
	char *path = cf_cli_cache_dir(doctor->cli);
	struct cf_err err = CF_ERR_INIT;

	if (!path)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "cache",
			      "there is no home folder for the index of the repository, which is "
			      "fetched anew "
			      "each time: use --cache-dir");
	else if (cf_dir_make(path, 0700, &err) < 0)
		cf_doctor_say(
			doctor, CF_DOCTOR_WARN, "cache",
			"%s; the index of the repository is fetched anew each time: use another "
			"--cache-dir",
			err.text);
	else if (access(path, W_OK | X_OK) != 0)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "cache",
			      "%s cannot be written, so the index of the repository is fetched "
			      "anew each time: "
			      "run chown or use another --cache-dir",
			      path);
	else
		cf_doctor_say(doctor, CF_DOCTOR_OK, "cache", "%s can be written", path);
	free(path);
}

/* The repository has more to say of it: doctor_store.c, doctor_repo.c. */
static void say_clock(struct cf_doctor *doctor)
{
	struct tm made = {.tm_isdst = -1};
	bool is_early = strptime(cf_spec_date, "%B %d, %Y", &made) &&
			doctor->now_ns / 1000000000 < (int64_t)mktime(&made);

	cf_doctor_say(
		doctor, is_early ? CF_DOCTOR_FAIL : CF_DOCTOR_OK, "clock", "%s%s",
		cf_text_time(doctor->now_ns).s,
		is_early ? ", before this program was made: set the clock, else retention keeps "
			   "and forgets the wrong snapshots"
			 : "");
}

static void say_secret(struct cf_doctor *doctor, enum cf_option_id id, const char *what)
{
	const char *path = cf_args_text(doctor->cli->args, id);
	struct stat st;

	if (!path || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return; /* opening the repository tells */
	if (st.st_mode & 077)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "secret",
			      "%s %s is open to others (mode %03o): run chmod 600 on it", what,
			      path, (unsigned)st.st_mode & 0777);
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "secret",
			      "%s %s belongs to another user, who can read it: run chown on it",
			      what, path);
	else
		cf_doctor_say(doctor, CF_DOCTOR_OK, "secret", "%s %s is readable by its owner only",
			      what, path);
}

static void say_clients(struct cf_doctor *doctor)
{
	for (size_t i = 0; cf_drivers[i]; i++) {
		const struct cf_driver *driver = cf_drivers[i];
		struct cf_err err = CF_ERR_INIT;
		struct cf_buf text = CF_BUF_INIT;
		int rc;

		if (!driver->clients)
			continue;
		rc = driver->clients(&doctor->cli->ctx, &text, &err);
		if (rc == 0)
			rc = cf_buf_append(&text, "", 1, &err);
		cf_doctor_say(doctor, rc == 0 ? CF_DOCTOR_OK : CF_DOCTOR_WARN, driver->scheme, "%s",
			      rc == 0 ? (const char *)text.data : err.text);
		cf_buf_release(&text);
	}
}

static void say_fuse(struct cf_doctor *doctor)
{
#ifdef CF_WITH_FUSE
	struct cf_err err = CF_ERR_INIT;

	if (cf_mount_available(&err) == 0)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "fuse", "coffer mount can be used");
	else
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "fuse", "coffer mount cannot be used: %s",
			      err.text);
#else
	cf_doctor_say(doctor, CF_DOCTOR_WARN, "fuse",
		      "this coffer was built without libfuse 3: no coffer mount");
#endif
}

void cf_doctor_host(struct cf_doctor *doctor)
{
	say_program(doctor);
	say_processor(doctor);
	say_clock(doctor);
	say_cache(doctor);
	say_secret(doctor, CF_OPT_KEY_FILE, "the key file");
	say_secret(doctor, CF_OPT_PASSWORD_FILE, "the password file");
	say_clients(doctor);
	say_fuse(doctor);
}
