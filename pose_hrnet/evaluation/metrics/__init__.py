"""Scores of predicted poses, the COCO numbers equal to pycocotools' to the bit.

coco_truth      annotations as the evaluation sees them
coco_matching   which result is whose, of all images at once
coco_ap         results as the evaluation sees them, and the ten COCO numbers
crowdpose       AP by crowding
pck             PCK, AUC and EPE
pckh            MPII's PCKh

To add a metric: a module here that says what predictions are compared with and scores them (as
`pckh` does with `MpiiTruth.of` and `score_mpii`), its name in `AnnotationKind` of
`pose_hrnet.system.choices`, and one entry each in `Scorer.of` and `Scorer.score`
(`pose_hrnet.evaluation.scorer`); its main number in `MAIN_NUMBERS` there.
"""
