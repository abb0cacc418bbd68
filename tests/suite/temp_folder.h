#ifndef CF_TESTS_SUITE_TEMP_FOLDER_H
#define CF_TESTS_SUITE_TEMP_FOLDER_H

/* A folder for one test, below TMPDIR. What fails here fails the test (cmocka asserts). */

#include <stdbool.h>

struct cf_temp_folder {
	char path[512]; /* without links in it */
	int fd;
};

struct cf_temp_path {
	char s[1024];
};

void cf_temp_folder_make(struct cf_temp_folder *folder);
void cf_temp_folder_remove(struct cf_temp_folder *folder);

/* The path of a name in it. */
struct cf_temp_path cf_temp_folder_at(const struct cf_temp_folder *folder, const char *name);

void cf_temp_folder_mkdir(const struct cf_temp_folder *folder, const char *name);
void cf_temp_folder_chmod(const struct cf_temp_folder *folder, const char *name, unsigned mode);
/* A file of this text, replaced when there. */
void cf_temp_folder_put(const struct cf_temp_folder *folder, const char *name, const char *text);
/* True when the file has exactly this text. */
bool cf_temp_folder_has(const struct cf_temp_folder *folder, const char *name, const char *text);
bool cf_temp_folder_exists(const struct cf_temp_folder *folder, const char *name);
/* A shell command with the folder as working directory; true for exit status 0. */
bool cf_temp_folder_run(const struct cf_temp_folder *folder, const char *command);

#endif
