"""bin/predict: asks a generated classifier about pictures."""

import argparse
import io
import json
import sys
import warnings

from hypertransformer_tf.commands import cli
from hypertransformer_tf.errors import UserError

_DESCRIPTION = """\
Asks a classifier that bin/generate made about pictures. Prints a line for each: file, class and probability, with
tabs between them. Where a picture resembles no class enough the class is "none of these". A file that is no picture is
named and left out; the exit status is then 1 at the end."""

_EXAMPLES = """\
  bin/predict --classifier=my_classifier photo.jpg
  bin/predict --classifier=my_classifier --top=3 --csv=answers.csv folder_of_pictures more_pictures
  bin/predict --classifier=my_classifier --json --threshold=0 *.png"""


def main() -> int:
    left_out: list[int] = []
    return cli.run(lambda: left_out.append(_command())) or int(any(left_out))


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("predict", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--classifier", metavar="DIR", required=True, help="the directory that bin/generate made")
    parser.add_argument(
        "pictures", metavar="PICTURE_OR_FOLDER", nargs="+", help="picture files, or folders with all that is below them"
    )
    parser.add_argument(
        "--top",
        metavar="K",
        type=cli.at_least(1),
        default=0,
        help="name the K most probable classes too, also where the answer is none of these",
    )
    parser.add_argument(
        "--threshold",
        metavar="R",
        type=_part,
        help="least resemblance to a class, from 0 to 1, at which it is the answer (default: as the classifier's card "
        "says; 0: always a class)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='print one JSON object a line: file, class (null for "none of these"), probability, resemblance, '
        "on_other_background, and top with --top",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="write FILE too: file,class,probability, and with --top also class_1,probability_1 and so on",
    )
    return parser.parse()


def _command() -> int:
    """Prints the answers; returns how many files were left out."""
    flags = read_flags()
    from PIL.Image import DecompressionBombWarning

    from hypertransformer_tf.commands.progress_bar import progress_bar  # late: the help does without what these need
    from hypertransformer_tf.deployment.answers import ask, csv_file
    from hypertransformer_tf.deployment.classifier_folder import read_classifier
    from hypertransformer_tf.deployment.picture_files import any_colourful, find_pictures
    from hypertransformer_tf.deployment.remarks import Remarks

    # Pillow's own warning of large pictures: those that are too large are left out with a sentence.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    # A file's name may hold letters that the terminal's encoding has not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    classifier = read_classifier(flags.classifier)
    files = [file for path in flags.pictures for file in find_pictures(path)]
    if not files:
        raise UserError(f"There is no file in {', '.join(flags.pictures)}: give pictures, or folders that hold some.")
    threshold = classifier.threshold if flags.threshold is None else flags.threshold
    remarks = Remarks(classifier.background, threshold)
    top, left_out = min(flags.top, len(classifier.class_names)), 0
    with csv_file(flags.csv, top) as write, progress_bar(len(files)) as progress:
        if classifier.preprocessing.channels == 1 and any_colourful(files):
            progress.say("The classifier takes grey pictures: colour pictures are converted to grey.")
        for answer in ask(classifier, files, threshold, top):
            progress.advance()
            if answer.error is not None:
                left_out += 1
                progress.say(f"Left out: {answer.error}")
                continue
            write(answer)
            remarks.note(answer)
            print(json.dumps(answer.to_dict()) if flags.json else answer, flush=True)
    for sentence in remarks.sentences():
        print(sentence, file=sys.stderr)
    if left_out:
        print(f"{left_out:,} of {len(files):,} files were left out.", file=sys.stderr)
    return left_out


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
