/*
 * The local backend as a process of its own, to be failed and killed from outside.
 *
 *	local_workload put DIR     put some objects; exit 0, or 10 + the code's number, message on stderr
 *	local_workload check DIR   print the names listed; exit 1 when one is not whole
 */

#include "backends/backend.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"config", "packs/00/a", "packs/00/b", "index/i", "snapshots/s"};

#define N_NAMES (sizeof(names) / sizeof(names[0]))
#define MAX_LEN ((size_t)9 << 20)

/* One object takes more than one write: the backend writes 8 MiB at a time. */
static size_t len_of(const char *name)
{
	return strcmp(name, "packs/00/a") == 0 ? MAX_LEN : 100000;
}

static int put_all(struct cf_backend *backend, const uint8_t *data, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < N_NAMES && rc == 0; i++) {
		const struct cf_span parts[2] = {cf_span_str(names[i]), cf_span_of(data, len_of(names[i]))};

		rc = backend->ops->put(backend, names[i], parts, 2, err);
		if (rc == CF_ERR_EXISTS)
			rc = 0;
	}
	return rc;
}

struct checking {
	struct cf_backend *backend;
	const uint8_t *data;
};

static int check_object(void *user, const char *name, uint64_t size)
{
	const struct checking *checking = user;
	struct cf_buf out = CF_BUF_INIT;
	size_t head = strlen(name), len = len_of(name);
	int rc = cf_backend_get_all(checking->backend, name, MAX_LEN + 100, &out, NULL);

	if (rc == 0 && (out.len != head + len || memcmp(out.data, name, head) != 0 ||
			memcmp(out.data + head, checking->data, len) != 0))
		rc = CF_ERR_DAMAGED;
	if (rc == 0)
		puts(name);
	cf_buf_release(&out);
	return rc;
}

int main(int argc, char **argv)
{
	struct cf_backend *backend = NULL;
	struct cf_err err = CF_ERR_INIT;
	uint8_t *data = malloc(MAX_LEN);
	int rc;

	if (argc != 3 || !data)
		return 2;
	memset(data, 'x', MAX_LEN);
	rc = cf_backend_open(argv[2], false, &backend, &err);
	if (rc == 0 && strcmp(argv[1], "put") == 0) {
		rc = put_all(backend, data, &err);
	} else if (rc == 0) {
		struct checking checking = {.backend = backend, .data = data};

		rc = backend->ops->list(backend, "", check_object, &checking, &err);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", err.text);
	cf_backend_close(backend);
	free(data);
	return rc == 0 ? 0 : 10 - rc;
}
