#include "repo/format/audit_ref.h"

#include <stdlib.h>

json_t *cf_audit_refs_to_json(const struct cf_audit_ref *refs, size_t n)
{
	json_t *list = json_array();
	int failed = 0;

	for (size_t i = 0; i < n; i++)
		failed |= json_array_append_new(
			list,
			json_pack("{s:o, s:I}", "id", cf_json_from_hex(refs[i].id.bytes, CF_ID_LEN),
				  "number", (json_int_t)refs[i].number));
	if (failed) {
		json_decref(list);
		return NULL;
	}
	return list;
}

bool cf_audit_refs_from_json(const json_t *list, struct cf_audit_ref **refs_out, size_t *n_out)
{
	size_t n = json_array_size(list);
	struct cf_audit_ref *refs;

	if (!json_is_array(list))
		return false;
	*refs_out = refs = calloc(n + 1, sizeof(*refs));
	for (size_t i = 0; refs && i < n; i++) {
		const json_t *item = json_array_get(list, i);

		if (!cf_json_hex(item, "id", refs[i].id.bytes, CF_ID_LEN) ||
		    cf_id_is_zero(&refs[i].id) ||
		    !cf_json_int(item, "number", 1, CF_AUDIT_NUMBER_MAX, &refs[i].number))
			return false;
	}
	*n_out = n;
	return refs != NULL;
}
