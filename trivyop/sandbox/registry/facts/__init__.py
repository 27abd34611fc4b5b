"""What the sandbox's vulnerability database knows: facts about real CVEs, in our own short words.

Identifiers, versions, scores and dates are those of the sources that each module names; titles and
descriptions are ours. A few packages per ecosystem, enough to show every way a finding can look: fixed and
unfixed, rated by NVD, by GitHub or by the distribution, with one and with several ranges of versions.
"""

from trivyop.sandbox.registry.facts import distributions
from trivyop.sandbox.registry.facts.distributions import BUSYBOX, OPENSSL, ZLIB_AND_CURL
from trivyop.sandbox.registry.facts.kubernetes import CONTAINERD_NEWS, KUBERNETES
from trivyop.sandbox.registry.facts.languages import JAVA, NODE

KNOWN = (*OPENSSL, *ZLIB_AND_CURL, *BUSYBOX, *NODE, *JAVA, *KUBERNETES)
NEWS = (*distributions.NEWS, *CONTAINERD_NEWS)

__all__ = ["KNOWN", "NEWS"]
