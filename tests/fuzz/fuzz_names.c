/* Names as they come from foreign folders and URLs: a name that is accepted is harmless everywhere. */

#include "backends/backend.h"
#include "backends/memory.h"
#include "base/id.h"
#include "drivers/scratch_name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* The rule of backends/backend.h, said another way. */
static bool is_harmless(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
	size_t len = strlen(name), n_slashes = 0;

	for (const char *at = strchr(name, '/'); at; at = strchr(at + 1, '/'))
		n_slashes++;
	return len > 0 && len <= CF_BACKEND_NAME_MAX && strspn(name, allowed) == len && n_slashes <= 3 &&
	       name[0] != '/' && name[0] != '.' && name[len - 1] != '/' && !strstr(name, "//") &&
	       !strstr(name, "/.");
}

static int expect_name(void *user, const char *name, uint64_t size)
{
	require(strcmp(user, name) == 0 && size == 1);
	return 1;
}

/* An accepted name can be put, and is below each of its prefixes. */
static void use_name(char *name)
{
	struct cf_backend *memory = NULL;
	char *prefix = strdup(name);
	char *slash;

	require(prefix && cf_memory_new(&memory, NULL) == 0);
	require(cf_backend_put(memory, name, cf_span_str("x"), NULL) == 0);
	require(memory->ops->list(memory, "", expect_name, name, NULL) == 1);
	while ((slash = strrchr(prefix, '/'))) {
		*slash = '\0';
		require(memory->ops->list(memory, prefix, expect_name, name, NULL) == 1);
	}
	cf_backend_close(memory);
	free(prefix);
}

/* A database that is taken for a scratch one has the name that is made for it. */
static void take_database(const char *name)
{
	struct cf_scratch_tag tag;
	char made[CF_SCRATCH_NAME_MAX];

	if (cf_scratch_name_parse(name, "", &tag) == CF_SCRATCH_FOREIGN)
		return;
	cf_scratch_name(&tag, strtoul(strrchr(name, '_') + 1, NULL, 10), made);
	require(strcmp(made, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 1);
	struct cf_id id;

	require(name);
	memcpy(name, data, size);
	name[size] = '\0';
	require(cf_backend_name_valid(name) == is_harmless(name));
	if (cf_backend_name_valid(name))
		use_name(name);
	take_database(name);
	if (cf_id_parse(name, &id))
		require(strcmp(cf_id_text(&id).s, name) == 0);
	free(name);
	return 0;
}
