#include "backends/memory.h"

#include "backends/backend.h"
#include "base/err.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Content never changes once made: readers and copies of the store share it, damage makes a new one. */
struct blob {
	atomic_uint n_refs;
	size_t len;
	uint8_t data[];
};

struct object {
	char *name;
	struct blob *blob;
	int64_t time_ns;
};

struct memory {
	struct cf_backend base;
	pthread_mutex_t lock;
	struct object *objects; /* ascending by name */
	size_t n_objects, capacity;
	int64_t now_ns; /* 0: the system's clock */
};

static struct blob *new_blob(size_t len)
{
	struct blob *blob = malloc(sizeof(*blob) + len);

	if (blob) {
		atomic_init(&blob->n_refs, 1);
		blob->len = len;
	}
	return blob;
}

static void drop_blob(struct blob *blob)
{
	if (blob && atomic_fetch_sub(&blob->n_refs, 1) == 1)
		free(blob);
}

static struct blob *keep_blob(struct blob *blob)
{
	atomic_fetch_add(&blob->n_refs, 1);
	return blob;
}

static struct blob *join_parts(const struct cf_span *parts, size_t n_parts)
{
	struct blob *blob;
	size_t len = 0;

	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].len;
	blob = new_blob(len);
	len = 0;
	for (size_t i = 0; blob && i < n_parts; i++) {
		if (parts[i].len > 0)
			memcpy(blob->data + len, parts[i].data, parts[i].len);
		len += parts[i].len;
	}
	return blob;
}

/* The place of a name, or where it would go. */
static size_t find_place(const struct memory *memory, const char *name)
{
	size_t low = 0, high = memory->n_objects;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(memory->objects[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct object *find_object(const struct memory *memory, const char *name)
{
	size_t i = find_place(memory, name);

	if (i < memory->n_objects && strcmp(memory->objects[i].name, name) == 0)
		return &memory->objects[i];
	return NULL;
}

static int not_found(const char *name, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_NOT_FOUND, "memory/%s does not exist", name);
}

static int bad_name(const char *name, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_USAGE, "memory: \"%s\" cannot name an object", name);
}

static int64_t clock_now(const struct memory *memory)
{
	struct timespec now;

	if (memory->now_ns)
		return memory->now_ns;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Takes the blob over when it succeeds. The name must be free. */
static int insert_object(struct memory *memory, const char *name, struct blob *blob, int64_t time_ns,
			 struct cf_err *err)
{
	size_t i = find_place(memory, name);
	char *copy = strdup(name);

	if (copy && memory->n_objects == memory->capacity) {
		size_t capacity = memory->capacity * 2 + 16;
		struct object *grown = realloc(memory->objects, capacity * sizeof(*grown));

		if (grown) {
			memory->objects = grown;
			memory->capacity = capacity;
		}
	}
	if (!copy || memory->n_objects == memory->capacity) {
		free(copy);
		return cf_err_nomem(err);
	}
	memmove(&memory->objects[i + 1], &memory->objects[i],
		(memory->n_objects - i) * sizeof(memory->objects[0]));
	memory->objects[i] = (struct object){.name = copy, .blob = blob, .time_ns = time_ns};
	memory->n_objects++;
	return 0;
}

static int memory_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		      size_t n_parts, struct cf_err *err)
{
	struct memory *memory = (struct memory *)backend;
	struct blob *blob;
	int rc;

	if (!cf_backend_name_valid(name))
		return bad_name(name, err);
	blob = join_parts(parts, n_parts);
	if (!blob)
		return cf_err_nomem(err);
	pthread_mutex_lock(&memory->lock);
	if (find_object(memory, name))
		rc = cf_err_set(err, CF_ERR_EXISTS, "memory/%s exists already", name);
	else
		rc = insert_object(memory, name, blob, clock_now(memory), err);
	pthread_mutex_unlock(&memory->lock);
	if (rc < 0)
		drop_blob(blob);
	return rc;
}

/* The content of an object, kept for the caller. */
static int take_blob(struct memory *memory, const char *name, struct blob **blob_out, struct cf_err *err)
{
	const struct object *object;
	int rc = 0;

	if (!cf_backend_name_valid(name))
		return bad_name(name, err);
	pthread_mutex_lock(&memory->lock);
	object = find_object(memory, name);
	if (object)
		*blob_out = keep_blob(object->blob);
	else
		rc = not_found(name, err);
	pthread_mutex_unlock(&memory->lock);
	return rc;
}

static int memory_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		      struct cf_buf *out, struct cf_err *err)
{
	struct blob *blob = NULL;
	int rc = take_blob((struct memory *)backend, name, &blob, err);

	if (rc < 0)
		return rc;
	if (off > blob->len || len > blob->len - off)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "memory/%s ends before byte %llu + %zu", name,
				(unsigned long long)off, len);
	else
		rc = cf_buf_append(out, blob->data + off, len, err);
	drop_blob(blob);
	return rc;
}

static int memory_size(struct cf_backend *backend, const char *name, uint64_t *size_out,
		       struct cf_err *err)
{
	struct blob *blob = NULL;
	int rc = take_blob((struct memory *)backend, name, &blob, err);

	if (rc < 0)
		return rc;
	*size_out = blob->len;
	drop_blob(blob);
	return 0;
}

static int memory_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct memory *memory = (struct memory *)backend;
	const struct object *object;
	int rc = 0;

	if (!cf_backend_name_valid(name))
		return bad_name(name, err);
	pthread_mutex_lock(&memory->lock);
	object = find_object(memory, name);
	if (object)
		*ns_out = object->time_ns;
	else
		rc = not_found(name, err);
	pthread_mutex_unlock(&memory->lock);
	return rc;
}

void cf_memory_set_clock(struct cf_backend *backend, int64_t now_ns)
{
	struct memory *memory = (struct memory *)backend;

	pthread_mutex_lock(&memory->lock);
	memory->now_ns = now_ns;
	pthread_mutex_unlock(&memory->lock);
}

static bool is_below(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 || (strncmp(name, prefix, len) == 0 && name[len] == '/');
}

/* The callback may use the store, so it runs on a copy of the names and without the lock. */
static int memory_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		       struct cf_err *err)
{
	struct cf_backend *copy;
	struct memory *seen;
	int rc;

	if (prefix[0] != '\0' && !cf_backend_name_valid(prefix))
		return bad_name(prefix, err);
	rc = cf_memory_copy(backend, &copy, err);
	if (rc < 0)
		return rc;
	seen = (struct memory *)copy;
	for (size_t i = 0; i < seen->n_objects && rc == 0; i++)
		if (is_below(seen->objects[i].name, prefix))
			rc = fn(user, seen->objects[i].name, seen->objects[i].blob->len);
	cf_backend_close(copy);
	return rc;
}

static int memory_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	struct memory *memory = (struct memory *)backend;
	struct object *object, removed = {.name = NULL, .blob = NULL};

	if (!cf_backend_name_valid(name))
		return bad_name(name, err);
	pthread_mutex_lock(&memory->lock);
	object = find_object(memory, name);
	if (object) {
		removed = *object;
		memory->n_objects--;
		memmove(object, object + 1,
			(size_t)(memory->objects + memory->n_objects - object) * sizeof(*object));
	}
	pthread_mutex_unlock(&memory->lock);
	if (!removed.name)
		return not_found(name, err);
	free(removed.name);
	drop_blob(removed.blob);
	return 0;
}

static void memory_close(struct cf_backend *backend)
{
	struct memory *memory = (struct memory *)backend;

	for (size_t i = 0; i < memory->n_objects; i++) {
		free(memory->objects[i].name);
		drop_blob(memory->objects[i].blob);
	}
	free(memory->objects);
	pthread_mutex_destroy(&memory->lock);
	free(memory->base.url);
	free(memory);
}

static const struct cf_backend_ops memory_ops = {
	.put = memory_put,
	.get = memory_get,
	.size = memory_size,
	.time = memory_time,
	.list = memory_list,
	.remove = memory_remove,
	.close = memory_close,
};

int cf_memory_new(struct cf_backend **backend_out, struct cf_err *err)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return cf_err_nomem(err);
	memory->base.url = strdup("memory");
	if (!memory->base.url) {
		free(memory);
		return cf_err_nomem(err);
	}
	memory->base.ops = &memory_ops;
	memory->base.caps = CF_BACKEND_CAN_REMOVE;
	pthread_mutex_init(&memory->lock, NULL);
	*backend_out = &memory->base;
	return 0;
}

int cf_memory_copy(struct cf_backend *backend, struct cf_backend **copy_out, struct cf_err *err)
{
	struct memory *memory = (struct memory *)backend, *copy;
	struct cf_backend *copy_base;
	int rc = cf_memory_new(&copy_base, err);

	if (rc < 0)
		return rc;
	copy = (struct memory *)copy_base;
	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < memory->n_objects && rc == 0; i++) {
		rc = insert_object(copy, memory->objects[i].name, memory->objects[i].blob,
				   memory->objects[i].time_ns, err);
		if (rc == 0)
			keep_blob(memory->objects[i].blob);
	}
	pthread_mutex_unlock(&memory->lock);
	if (rc < 0) {
		cf_backend_close(copy_base);
		return rc;
	}
	*copy_out = copy_base;
	return 0;
}

int cf_memory_replace(struct cf_backend *backend, const char *name, struct cf_span data, struct cf_err *err)
{
	struct memory *memory = (struct memory *)backend;
	struct blob *blob = join_parts(&data, 1), *old = NULL;
	struct object *object;
	int rc = 0;

	if (!blob)
		return cf_err_nomem(err);
	pthread_mutex_lock(&memory->lock);
	object = find_object(memory, name);
	if (object) {
		old = object->blob;
		object->blob = blob;
	} else {
		rc = insert_object(memory, name, blob, clock_now(memory), err);
	}
	pthread_mutex_unlock(&memory->lock);
	drop_blob(rc < 0 ? blob : old);
	return rc;
}

int cf_memory_flip(struct cf_backend *backend, const char *name, uint64_t off, uint8_t mask,
		   struct cf_err *err)
{
	struct cf_buf data = CF_BUF_INIT;
	int rc = cf_backend_get_all(backend, name, SIZE_MAX, &data, err);

	if (rc == 0) {
		assert(off < data.len);
		data.data[off] ^= mask;
		rc = cf_memory_replace(backend, name, cf_buf_span(&data), err);
	}
	cf_buf_release(&data);
	return rc;
}

int cf_memory_truncate(struct cf_backend *backend, const char *name, uint64_t len, struct cf_err *err)
{
	struct cf_buf data = CF_BUF_INIT;
	int rc = cf_backend_get_all(backend, name, SIZE_MAX, &data, err);

	if (rc == 0) {
		assert(len <= data.len);
		rc = cf_memory_replace(backend, name, cf_span_of(data.data, (size_t)len), err);
	}
	cf_buf_release(&data);
	return rc;
}
