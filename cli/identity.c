#include "cli/identity.h"

#include "base/err.h"
#include "cli/escape.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cf_identity_user(char *out, size_t size)
{
	const struct passwd *user = getpwuid(geteuid());

	if (user)
		snprintf(out, size, "%s", user->pw_name);
	else
		snprintf(out, size, "%u", geteuid());
}

int cf_identity_host(char *out, size_t size, struct cf_err *err)
{
	if (gethostname(out, size - 1) != 0)
		return cf_err_errno(err, errno, "find this host's name");
	out[size - 1] = '\0';
	return 0;
}

int cf_identity_texts(char **host_out, char **user_out, struct cf_err *err)
{
	char host[256], user[256];
	int rc = cf_identity_host(host, sizeof(host), err);

	if (rc < 0)
		return rc;
	cf_identity_user(user, sizeof(user));
	*host_out = cf_escape_stored(host);
	*user_out = cf_escape_stored(user);
	if (*host_out && *user_out)
		return 0;
	free(*host_out);
	free(*user_out);
	*host_out = *user_out = NULL;
	return cf_err_nomem(err);
}
