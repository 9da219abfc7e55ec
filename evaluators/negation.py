"""Whether a mention of an answer is negated.

The negation nearest before the mention decides, and it reaches no further than its clause: a comma, a "but" or another mention
that no "or" joins ends it. Idioms that only look negative ("without doubt", "not only", 非常, 忍不住) are taken out first. A few
negations follow what they negate ("positive is wrong", 开心不起来, 긍정이 아니다).
"""

import re

from evaluators.mentions import Mention

_WINDOW = 120  # characters before a mention in which its negation is looked for
_CLAUSE = re.compile(r"[.!?;:。；：\n](?!\d)")
_REACH, _LONG_REACH = 4, 12  # words between a negation and what it negates; the second for "it is not true that …"
_NEAR, _FAR = 6, 16  # the same in Chinese characters

_HARMLESS = re.compile(
    r"\b(?:not|n't) (?:only|just|merely|simply|solely|to mention)\b|\bnothing (?:but|other than|short of|less than|if not)\b"
    r"|\bnone other than\b|\b(?:not|cannot|never|\w+n't)\b[^.,;:\n]{0,40}?\banything (?:but|other than|less than|short of"
    r"|except)\b"
    r"|(?:\w+n't|not) (?:only|just|merely|simply|solely)\b"
    r"|\b(?:without|no|beyond|never a) (?:a |any |the slightest |much |shadow of a )?(?:doubts?|questions?|hesitation"
    r"|mistake|"
    r"denying|wonder|less|surprise)\b|\b(?:cannot|can not|can't|couldn't|could not) (?:help|deny|be denied|be more"
    r"|have been more|get more|be clearer)\b"
    r"|\bwhy not\b|\bor not\b|\bdoubtless\b|\b(?:not|\w+n't|never) (?:hesitate|fail|mistaken|wrong)\b|\bnot (?:hard"
    r"|difficult) to\b|\bwon't be wrong\b|\bnot without\b"
    r"|\bnicht (?:nur|bloß|bloss|zuletzt|allein)\b|\b(?:ohne|kein) (?:jeden )?zweifel\b"
    r"|\b(?:pas|non) (?:seulement|uniquement|que)\b|\bsans (?:aucun )?(?:doute|hésitation)\b"
    r"|\bno (?:solo|sólo|solamente|sólamente)\b|\b(?:sin|sem) (?:ninguna |lugar a )?(?:dudas?|dúvidas?)\b|\bnon solo\b"
    r"|\bnão só\b"
    r"|\bне только\b"
    r"|不[错錯仅僅但只光止过過如禁断斷少同管论論免愧妨料由时時久停胜勝]|不自[觉覺]|不[经經]意|不[寻尋]常|未[免来來]|非同|[说說]不(?:出的|定)|不可[抑遏避]|不得不|不由得|不可思[议議]|不好意思|不用[说說]"
    r"|不小心|不知(?:道|不[觉覺])?"
    r"|不[满滿安幸]|不一定不|[忍禁止]不住|[差了][不]多|了不起|[对對]不起|毫不[犹猶掩隐隱迟遲怀懷]\S|不敢相信|[没沒]有比|何[尝嘗]不|(?:怎[么麼]|哪|[岂豈])[能会會]?不|不可否[认認]|不言而喻|不[难難容]|[毫]?[无無]疑[问問]?"
    r"|[无無][比论論奈非意端缘緣故可穷窮限尽盡数數聊语語不]"
    r"|非常|除非|是非|非但|莫非|非凡|非得|非要|[没沒](?:想到|[错錯]|[关關][系係]|[准準]|完|事|料到)|(?:不[是会會能]|没有|沒有)不"
)
_COMPLEMENT = (
    r"(?:true|right|correct|accurate|fair|possible|the case|clear|certain|sure|evident|convinced|say|saying|think|believe"
    r"|agree|claim|"
    r"conclude|argue|(?:be )?(?:said|claimed|concluded|argued)|call it|consider it"
    r"|(?:know|see|find|mean|suggest|imply|describe|express|convey|indicate"
    r"|show)(?= (?:that|if|whether)\b))"
)
_LONG = (
    rf"\b(?:not|never|cannot|hardly|\w+n't) (?:at all |really |quite |necessarily |be |a |to )?{_COMPLEMENT}\b"
    r"|\b(?:false|untrue|wrong|incorrect|mistaken|a mistake|a stretch|misleading|impossible) (?:that|to)\b"
    r"|\b(?:i|we) (?:doubt|deny|disagree|reject|refuse)\b|\b(?:denies|doubts) that\b|\bno (?:sign|trace|hint|evidence"
    r"|indication|reason|"
    r"way|proof|basis|suggestion|element|part|aspect)s? (?:of|that|to|for|is|in)\b|\babsence of\b"
)
_SHORT = (
    r"\bfar from\b|\banything but\b|\bby no means\b|\bin no way\b|\bnowhere near\b|\bunder no circumstances\b|\bno longer\b"
    r"|\bneither\b|\bnor\b|\bnobody\b|\bno[- ]one\b|\bopposite of\b|\bnothing\b|\bnone of\b|\bdevoid of\b|\black of\b"
    r"|\bnot\b|\b(?:is|was|are|were|does|do|did|ca|could|would|should|wo|have|has|had|ai|might|must|need|sha)n'?t\b"
    r"|\bcannot\b|\bnever\b|\bwithout\b|\bexcluding\b|\bexcept(?: for)?\b|\brather than\b|\binstead of\b"
    r"|\bas opposed to\b|\bunlike\b"
    r"|\bother than\b|\brules? out\b|\bruled out\b|\bhardly\b|\bbarely\b|\bscarcely\b|\brarely\b|\black(?:s|ing)?\b"
    r"|\bfail(?:s|ed)? to\b|(?<!\ba )\b(?:little|few)\b"
    r"|\bnicht\b|\bkein(?:e[nmrs]?)?\b|\bweder\b(?:[^.;:\n]*\bnoch\b)?|\bnie(?:mals)?\b|\bkaum\b|\bkeineswegs\b"
    r"|\bmitnichten\b|\bohne\b|\bstatt\b"
    r"|\bpas\b|\bn(?:e |')[^\s,]+ (?:plus|point|guère|rien)\b|\bjamais\b|\baucune?\b|\bsans\b|\bni\b|\bplutôt que\b"
    r"|\bau lieu de\b|\bloin d(?:'|e )"
    r"|\bno (?:es|son|fue|era|está|parece|hay|me|se|tiene|resulta|creo|lo|la|suena|ha|eres|soy|estoy)\b"
    r"|\bnunca\b|\bjamás\b|\bsin\b|\btampoco\b|\bning[uú]na?\b|\blejos de\b|\bnão\b|\bnem\b|\bsem\b"
    r"|\bnon (?:è|e'|sono|era|sembra|mi|si|molto)\b|\bniet\b|\bgeen\b|\bikke\b|\binte\b|\bне\b|\bни\b|\bнет\b|\bбез\b"
)
_HAN_LONG = (
    r"不是|[並并绝絕]非|而非|[沒没]有|不算|不[会會能]|不[觉覺]得|不[认認][为為]|不(?:想|愿|願|要)?[说說]|看不出|[听聽]不出|感[觉覺]不到|[谈談]不上|算不上|[称稱]不上|"
    r"[与與]其|[无無]法|毫[无無]|[远遠]非|[说說]不上"
)
_WORDS = re.compile(rf"(?P<long>{_LONG})|(?P<short>{_SHORT})|(?P<han_long>{_HAN_LONG})|(?P<han>[不没沒非未无無])")
_NO = re.compile(r"\bno\b(?! ?,)")
_PREFIX = re.compile(r"\b(?:non[- ]|(?:un|anti)-)$")
_ENDS = re.compile(
    r"\b(?:but|however|though|although|(?<!^ )yet|because|since|therefore|thus|hence|while|whereas|instead(?! of)|sondern"
    r"|aber|mais|sino|"
    r"pero|mas|ma|а|но)\b|而是|但|不如|毋宁|毋寧|反而|却|卻|就是|[—–→,]| - |-+>"
)
# "not sadness, anger, or doubtful": the commas of a list that an "or" closes end nothing.
_LISTED = re.compile(r"(?:[^,]{1,30}, ?){1,8}(?:or|nor) (?:an? )?[\"'“]?")
_HAN_ENDS = re.compile(r"[就才又还還]|所以|因[为為]|其[实實]|[而并並]且")
_NEAR_ENDS = re.compile(r"(?<=.)(?:很|十分|非常)")  # "不爽很生气": another clause; "不很生气": this one
_JOINT = re.compile(
    r"[\s\"'`、]*(?:/|\b(?:or|nor|and|oder|und|noch|ou|ni|et|y|o|e|или|и)\b|或者?|和|[与與]|、)[\s\"'`]*(?:(?:even|a|an|the) )?"
)
_AFTER = re.compile(
    r"[\"'”’)\]]? ?(?:(?:is|are|was|were|would be|seems?) (?:not\b(?! (?:only|just|merely|because))|wrong\b|incorrect\b"
    r"|false\b|excluded\b|ruled out\b|"
    r"impossible\b|unlikely\b|out of the question\b)|(?:isn't|wasn't|aren't|can't be|cannot be)\b|ist falsch\b|est faux\b)"
    r"|不起[来來]|不了|的?可能性不大|(?:이|가|은|는)? ?아(?:니|닙|님)|(?:では|じゃ|く)な[いくか]|ではありません| değil\b"
)


def negated(text: str, mention: Mention, before: tuple[Mention, bool] | None, no_negates: bool) -> bool:
    """Whether ``mention`` is negated.

    Args:
        text: folded and plain.
        mention: where the answer is named.
        before: the mention before this one, and whether that one is negated.
        no_negates: whether "no" is a negation; it is not where "no" is an answer.
    """
    if _AFTER.match(text, mention.end, mention.end + 30):
        return True
    clause = text[max(0, mention.start - _WINDOW) : mention.start]
    if ends := [match.end() for match in _CLAUSE.finditer(clause)]:
        clause = clause[ends[-1] :]
    if _PREFIX.search(clause):
        return True
    quiet = _HARMLESS.sub(lambda match: "\x00" * len(match[0]), clause)
    nearest: re.Match | None = None
    kind: str | None = None
    for nearest in _WORDS.finditer(quiet):
        kind = nearest.lastgroup
    if no_negates and (no := list(_NO.finditer(quiet))) and (nearest is None or no[-1].end() > nearest.end()):
        nearest, kind = no[-1], "no"
    if nearest is None:
        return False
    start = mention.start - len(clause)
    if before is not None and before[0].start >= start + nearest.end():
        # Another answer stands between: the negation was that one's, and goes on only over an "or".
        return before[1] and bool(_JOINT.fullmatch(text, before[0].end, mention.start))
    between = clause[nearest.end() :]
    if _LISTED.fullmatch(between):
        return True
    if _ENDS.search(between):
        return False
    if kind == "han":
        return len(between) <= _NEAR and not _HAN_ENDS.search(between) and not _NEAR_ENDS.search(between)
    if kind == "han_long":
        return len(between) <= _FAR and not _HAN_ENDS.search(between)
    return len(between.split()) <= (_LONG_REACH if kind == "long" else _REACH if kind == "short" else 2)
