from testbed.api import HOST as HOST
from testbed.api import SIMULATION as SIMULATION
from testbed.api import Experiment as Experiment
from testbed.api import Results as Results
from testbed.api import load as load
from testbed.api import read as read
from testbed.api import run as run

__version__: str
