#ifndef DUET_NODE_CONF_SERVICES_H
#define DUET_NODE_CONF_SERVICES_H

/* Which listeners of which service this build opens, and for what. */

#include "node/config/conf.h"

/* path: of a UNIX listener as written ("lmtp", "/var/spool/…/auth").  False:
 * nothing listens there in this build. */
bool conf_service_purpose(const char *service, const char *path, bool inet,
			  enum conf_purpose *out);

#endif
