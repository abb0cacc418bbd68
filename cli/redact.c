#include "cli/redact.h"

#include "base/buf.h"

#include <string.h>
#include <strings.h>

static const char mask[] = "***";

/* How long the password at the start of text is, when text stands behind "://" and holds one; its
 * place in *at_out. */
static size_t url_password(const char *text, const char **at_out)
{
	size_t end = strcspn(text, " \t\n'\"");
	const char *host = NULL, *colon;

	/* A password that was not encoded may hold '@' and '/' itself: the last '@' ends it. */
	for (size_t i = 0; i < end; i++)
		if (text[i] == '@')
			host = text + i;
	colon = host ? memchr(text, ':', (size_t)(host - text)) : NULL;
	if (!colon)
		return 0;
	*at_out = colon + 1;
	return (size_t)(host - colon - 1);
}

static int append_masked(struct cf_buf *out, const char *text)
{
	int rc = 0;

	while (rc == 0 && *text) {
		const char *password = text;
		size_t len = 0;

		if (strncmp(text, "://", 3) == 0)
			len = url_password(text + 3, &password);
		else if (strncasecmp(text, "password=", 9) == 0) {
			password = text + 9;
			len = strcspn(password, " \t\n&'\"");
		}
		if (len == 0) {
			rc = cf_buf_append(out, text++, 1, NULL);
			continue;
		}
		rc = cf_buf_append(out, text, (size_t)(password - text), NULL);
		if (rc == 0)
			rc = cf_buf_append_str(out, mask, NULL);
		text = password + len;
	}
	return rc;
}

char *cf_redact(const char *text)
{
	struct cf_buf out = CF_BUF_INIT;
	int rc = append_masked(&out, text);

	if (rc == 0)
		rc = cf_buf_append(&out, "", 1, NULL);
	if (rc < 0)
		cf_buf_release(&out);
	return (char *)out.data;
}
