"""A module beside the script can be imported, and the script again under its own name."""

import imports_sibling as again
import sibling

print(sibling.VALUE, again.__name__, __name__)
